"""What is particular to Swift: large files, logins, and being read by everybody."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
import urllib.request
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import swiftclient
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.mirror import open_mirror
from frumious.model.checksums import ExpectedContent, WrongBytes, verified_chunks
from frumious.model.jobs import Job
from frumious.model.types import Key, RunId
from frumious.storage.protocol import Conflict, StorageRefused, StorageUnavailable
from frumious.storage.swift.storage import SwiftStorage
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from tests.clients import HTML, found_by_pip, get, read_by_pip
from tests.servers.keystone import CREDENTIAL, PROJECT, REGION, USER, KeystoneServer
from tests.servers.swift import SwiftServer, configured
from tests.servers.tls import TlsProxy
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

    from frumious.config.settings import Config

pytestmark = pytest.mark.servers

FILE: Final = Key("web/packages/aa/bb/cc/demo-1.0-py3-none-any.whl")
PAGE: Final = Key("web/simple/demo/index.html")
STATE: Final = Key("state/cursor.json")
SMALL: Final = 1000  # bytes of a segment


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


@pytest.fixture(scope="module")
def keystone(swift: SwiftServer) -> Iterator[KeystoneServer]:
    with KeystoneServer(swift) as server:
        yield server


@pytest.fixture
def account(swift: SwiftServer) -> swiftclient.Connection:
    """The account as its owner sees it, without the storage between."""
    return swiftclient.Connection(authurl=swift.auth_url, user=swift.user, key=swift.key)


@asynccontextmanager
async def opened(configuration: Config) -> AsyncIterator[SwiftStorage]:
    storage = SwiftStorage(configuration)
    try:
        yield storage
    finally:
        await storage.aclose()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def pieces(body: bytes, size: int = 300) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def promised(body: bytes, *, sized: bool = True) -> ExpectedContent:
    digest = hashlib.sha256(body).hexdigest()
    return ExpectedContent("sha256", digest, len(body) if sized else None)


async def store(
    storage: SwiftStorage, body: bytes, expected: ExpectedContent, key: Key = FILE
) -> None:
    await storage.store(key, verified_chunks(pieces(body), expected, "upstream"), expected)


def names(account: swiftclient.Connection, container: str) -> list[str]:
    """Return what is in a container; nothing, where it is not there."""
    try:
        return [entry["name"] for entry in account.get_container(container)[1]]
    except swiftclient.ClientException:
        return []


def segments(account: swiftclient.Connection, configuration: Config) -> list[str]:
    return names(account, f"{configuration.swift.default_container}_segments")


# Large files


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 5 * SMALL + 7])
def test_a_file_of_any_size_is_read_as_it_was_written(
    swift: SwiftServer, size: int, *, sized: bool
) -> None:
    body = os.urandom(size)

    async def work() -> None:
        async with opened(swift.configured(f"segment_size = {SMALL}")) as storage:
            await store(storage, body, promised(body, sized=sized))

            stored, head = await storage.read(FILE), await storage.head(FILE)
            assert stored is not None
            assert head is not None
            assert stored.body == body
            assert (head.size, head.sha256) == (size, hashlib.sha256(body).hexdigest())
            assert head.etag == stored.etag
            assert [entry.size async for entry in storage.list("")] == [size]

    run(work())


def test_a_file_above_the_segment_size_is_cut_and_others_are_not(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    configuration = swift.configured(f"segment_size = {SMALL}")

    async def work() -> None:
        async with opened(configuration) as storage:
            await store(storage, b"x" * SMALL, promised(b"x" * SMALL))
            assert segments(account, configuration) == []
            await store(storage, b"x" * (2 * SMALL + 1), promised(b"x" * (2 * SMALL + 1)))
            assert len(segments(account, configuration)) == 3

    run(work())


def test_segments_go_with_their_file_and_with_what_replaces_it(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    configuration = swift.configured(f"segment_size = {SMALL}")
    first, second = os.urandom(3 * SMALL), os.urandom(4 * SMALL)
    neighbour = Key(FILE + ".metadata")

    async def work() -> None:
        async with opened(configuration) as storage:
            await store(storage, first, promised(first), neighbour)
            await store(storage, first, promised(first))
            await store(storage, second, promised(second))
            assert len(segments(account, configuration)) == 3 + 4

            await storage.delete([FILE])
            assert len(segments(account, configuration)) == 3
            stored = await storage.read(neighbour)
            assert stored is not None
            assert stored.body == first
            await storage.delete([neighbour, FILE])
            assert segments(account, configuration) == []

    run(work())


@pytest.mark.parametrize("segment_size", [SMALL, 10**6])
@pytest.mark.parametrize("sized", [True, False])
def test_an_upload_that_fails_leaves_nothing(
    swift: SwiftServer, account: swiftclient.Connection, segment_size: int, *, sized: bool
) -> None:
    configuration = swift.configured(f"segment_size = {segment_size}")
    body = os.urandom(3 * SMALL)
    other = ExpectedContent("sha256", promised(b"other").digest, len(body) if sized else None)

    async def work() -> None:
        async with opened(configuration) as storage:
            with pytest.raises(WrongBytes):
                await store(storage, body, other)
            with pytest.raises(ConnectionResetError):
                await storage.store(FILE, broken(body), promised(body, sized=sized))
            await cancelled_in_the_middle(storage, promised(body, sized=sized))
            assert await storage.head(FILE) is None
            assert [entry async for entry in storage.list("")] == []
            await asyncio.sleep(0.5)  # nor does anything come later
            assert await storage.head(FILE) is None

    run(work())
    assert segments(account, configuration) == []


async def broken(body: bytes) -> AsyncIterator[bytes]:
    yield body[: SMALL + 1]
    msg = "upstream went away"
    raise ConnectionResetError(msg)


async def cancelled_in_the_middle(storage: SwiftStorage, expected: ExpectedContent) -> None:
    under_way = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (SMALL + 1)
        under_way.set()
        await asyncio.Event().wait()

    storing = asyncio.create_task(storage.store(FILE, endless(), expected))
    await under_way.wait()
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing


def test_an_upload_that_fails_leaves_the_file_that_was_there(swift: SwiftServer) -> None:
    good, bad = os.urandom(3 * SMALL), os.urandom(3 * SMALL)

    async def work() -> None:
        async with opened(swift.configured(f"segment_size = {SMALL}")) as storage:
            await store(storage, good, promised(good))
            with pytest.raises(WrongBytes):
                await store(
                    storage, bad, ExpectedContent("sha256", promised(good).digest, len(bad))
                )
            stored = await storage.read(FILE)
            assert stored is not None
            assert stored.body == good

    run(work())


def test_chunks_that_are_fewer_than_announced_are_refused(swift: SwiftServer) -> None:
    async def work() -> None:
        async with opened(swift.configured()) as storage:
            with pytest.raises(
                WrongBytes, match="999 bytes have arrived instead of the expected 1000"
            ):
                await storage.store(FILE, pieces(b"x" * 999), promised(b"x" * 1000))
            assert await storage.head(FILE) is None

    run(work())


# Containers


def test_the_container_is_made_on_demand_and_made_again(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    configuration = swift.configured()
    container = configuration.swift.default_container

    async def work() -> None:
        async with opened(configuration) as storage:
            assert await storage.read(PAGE) is None
            assert [entry async for entry in storage.list("")] == []
            await storage.delete([PAGE, FILE])
            with pytest.raises(swiftclient.ClientException):
                account.head_container(container)

            await storage.write(PAGE, b"page")
            assert names(account, container) == [f"mirror/{PAGE}"]
            account.delete_object(container, f"mirror/{PAGE}")
            account.delete_container(container)
            with pytest.raises(StorageUnavailable):
                await storage.write(PAGE, b"page")
            await storage.write(PAGE, b"page")
            assert names(account, container) == [f"mirror/{PAGE}"]

    run(work())


def test_a_mirror_without_a_directory_lies_at_the_container_s_top(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    configuration = swift.configured(mirror="directory = /")

    async def work() -> None:
        async with opened(configuration) as storage:
            await storage.write(PAGE, b"page")
            assert [entry.key async for entry in storage.list("web/simple/d")] == [PAGE]

    run(work())
    assert names(account, configuration.swift.default_container) == [PAGE]


def test_two_writers_in_one_process_are_kept_apart(
    swift: SwiftServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with opened(swift.configured()) as storage:
            tag = await storage.create(PAGE, b"0")
            writers = [storage.write(PAGE, str(n).encode(), replacing=tag) for n in range(1, 9)]
            outcomes = await asyncio.gather(*writers, return_exceptions=True)
            assert sum(isinstance(each, Conflict) for each in outcomes) == 7
            creators = [storage.create(STATE, b"{}") for _ in range(8)]
            outcomes = await asyncio.gather(*creators, return_exceptions=True)
            assert sum(isinstance(each, Conflict) for each in outcomes) == 7
            assert not storage.guarantees.conditional_writes

    run(work())
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "only one process" in warnings[0].message


def test_objects_are_deleted_one_by_one_where_the_cluster_has_no_bulk(swift: SwiftServer) -> None:
    keys = [Key(f"web/packages/{number}") for number in range(30)]

    async def work() -> None:
        async with opened(swift.configured()) as storage:
            cluster = await storage._cluster()
            assert cluster.deletes_in_bulk
            storage._capabilities = type(cluster)()  # as of a cluster that tells nothing
            await asyncio.gather(*(storage.write(key, b"x") for key in keys))
            await storage.delete([*keys, Key("web/packages/never")])
            assert [entry async for entry in storage.list("")] == []

    run(work())


# Logins


def reads_and_writes(configuration: Config) -> None:
    async def work() -> None:
        async with opened(configuration) as storage:
            await storage.write(PAGE, b"page")
            await store(storage, b"file", promised(b"file"))
            stored = await storage.read(PAGE)
            assert stored is not None
            assert stored.body == b"page"

    run(work())


PASSWORD: Final = f"username = {USER['name']}\npassword = {USER['password']}"
LOGINS: Final = {
    "password": f"{PASSWORD}\nproject_name = {PROJECT['name']}",
    "ids": f"user_id = {USER['id']}\npassword = {USER['password']}\nproject_id = {PROJECT['id']}",
    "credential": (
        f"application_credential_id = {CREDENTIAL['id']}\n"
        f"application_credential_secret = {CREDENTIAL['secret']}"
    ),
    "credential by name": (
        f"application_credential_name = {CREDENTIAL['name']}\nusername = {USER['name']}\n"
        f"application_credential_secret = {CREDENTIAL['secret']}"
    ),
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("with_version", [True, False])
def test_keystone_lets_in(keystone: KeystoneServer, login: str, *, with_version: bool) -> None:
    url = keystone.url if with_version else keystone.url.removesuffix("/v3")
    reads_and_writes(configured(f"auth_url = {url}\nregion = {REGION}\n{LOGINS[login]}"))


def test_the_environment_says_what_the_file_does_not(keystone: KeystoneServer) -> None:
    environment = {
        "OS_AUTH_URL": keystone.url,
        "OS_USERNAME": USER["name"],
        "OS_PASSWORD": USER["password"],
        "OS_TENANT_NAME": PROJECT["name"],
        "OS_REGION_NAME": "another",
        "OS_CLOUD": "",
    }
    text = (
        "[mirror]\ndirectory = /mirror\nstorage-backend = swift\n"
        f"[swift]\ndefault_container = mirror-{uuid.uuid4()}\nregion = {REGION}\n"
    )
    reads_and_writes(loading.parse(text, environment))


@pytest.fixture
def clouds(keystone: KeystoneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clouds.yaml, and the variable that leads to it."""
    file = tmp_path / "clouds.yaml"
    file.write_text(f"""
clouds:
  mine:
    auth:
      auth_url: {keystone.url}
      username: {USER["name"]}
      password: {USER["password"]}
      user_domain_name: default
      project_name: {PROJECT["name"]}
      project_domain_name: default
    region_name: {REGION}
  credential:
    auth_type: v3applicationcredential
    auth:
      auth_url: {keystone.url}
      application_credential_id: {CREDENTIAL["id"]}
      application_credential_secret: {CREDENTIAL["secret"]}
    region_name: {REGION}
""")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    return file


@pytest.mark.parametrize("cloud", ["mine", "credential"])
def test_a_cloud_of_clouds_yaml_lets_in(clouds: Path, cloud: str) -> None:
    reads_and_writes(configured(f"cloud = {cloud}"))


def test_a_cloud_that_is_not_there_is_named(clouds: Path) -> None:
    with pytest.raises(StorageRefused, match=r"cannot use the cloud 'yours': .*clouds.yaml"):
        reads_and_writes(configured("cloud = yours"))


def test_a_wrong_password_is_told_at_once(swift: SwiftServer, keystone: KeystoneServer) -> None:
    v1 = f"auth_version = 1\nauth_url = {swift.auth_url}\nusername = {swift.user}\npassword = no"
    v3 = f"auth_url = {keystone.url}\n{PASSWORD}x\nproject_name = {PROJECT['name']}"
    for login in (v1, v3):
        with pytest.raises(StorageRefused, match="check username, password and project"):
            reads_and_writes(configured(login))


def test_a_region_without_an_object_store_is_named(keystone: KeystoneServer) -> None:
    login = f"auth_url = {keystone.url}\nregion = Moon\n{LOGINS['password']}"
    with pytest.raises(StorageRefused, match="no object store in region 'Moon'"):
        reads_and_writes(configured(login))


def test_a_user_who_may_not_write_is_told_what_to_check(swift: SwiftServer) -> None:
    login = (
        f"auth_version = 1\nauth_url = {swift.auth_url}\n"
        f"username = test:reader\npassword = reading\nobject_storage_url = {swift.storage_url}"
    )
    with pytest.raises(StorageRefused, match="check the user's role in the project"):
        reads_and_writes(configured(login))


def test_a_cluster_that_is_away_may_come_back(swift: SwiftServer) -> None:
    login = (
        "auth_version = 1\nauth_url = http://127.0.0.1:9/auth/v1.0\n"
        "username = test:tester\npassword = testing\nretries = 0"
    )
    with pytest.raises(StorageUnavailable, match="cannot reach Swift for"):
        reads_and_writes(configured(login))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_is_believed_only_when_it_is_named(
    swift: SwiftServer, tmp_path: Path
) -> None:
    with TlsProxy(swift.port, tmp_path) as proxy:
        login = (
            f"auth_version = 1\nauth_url = {proxy.url}/auth/v1.0\n"
            f"username = {swift.user}\npassword = {swift.key}\nretries = 0\n"
            f"object_storage_url = {proxy.url}/v1/AUTH_test\n"
        )
        with pytest.raises(StorageRefused, match="set cacert in"):
            reads_and_writes(configured(login))
        reads_and_writes(configured(f"{login}cacert = {proxy.certificate}"))
        reads_and_writes(configured(f"{login}insecure = true"))


def test_a_token_that_has_expired_is_replaced(
    swift: SwiftServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swiftclient.client.sleep", lambda _: None)

    async def work() -> None:
        async with opened(swift.configured()) as storage:
            await storage.write(PAGE, b"page")
            spoil_tokens(storage)
            await storage.write(PAGE, b"page")
            spoil_tokens(storage)
            with pytest.raises(StorageUnavailable, match="the token has expired"):
                await store(storage, b"file", promised(b"file"))
            await store(storage, b"file", promised(b"file"))

    run(work())


def spoil_tokens(storage: SwiftStorage) -> None:
    """Make the tokens that are held into ones that Swift does not know."""
    plugin: Any = storage._account._session.auth
    plugin.auth_ref.auth_token = "AUTH_tkspoilt"
    for connection in storage._account._idle:
        connection.token = "AUTH_tkspoilt"


def test_secrets_are_neither_shown_nor_logged(
    swift: SwiftServer, keystone: KeystoneServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []

    async def work(configuration: Config) -> None:
        async with opened(configuration) as storage:
            await storage.write(PAGE, b"page")
            await store(storage, b"file", promised(b"file"))
            assert await storage.read(STATE) is None
            access = await storage._account.access()
            tokens.append(access.token)
            assert access.token not in repr(access)

    for login in LOGINS.values():
        configuration = configured(f"auth_url = {keystone.url}\n{login}")
        assert USER["password"] not in repr(configuration)
        assert CREDENTIAL["secret"] not in repr(configuration)
        run(work(configuration))
    run(work(swift.configured()))

    said = caplog.text
    assert "X-Auth-Token" in said  # the libraries tell what they do
    for secret in (*tokens, *(token[:16] for token in tokens), USER["password"], "X-Auth-Key"):
        assert secret not in said
    assert CREDENTIAL["secret"] not in said


# Readers


def published(swift: SwiftServer, options: str = "") -> Config:
    return swift.configured(f"publish = true\n{options}")


def address(swift: SwiftServer, configuration: Config, container: str = "") -> str:
    """Return what readers see of the mirror, or of another container of its."""
    suffix = f"_{container}" if container else ""
    return f"{swift.storage_url}/{configuration.swift.default_container}{suffix}/mirror"


def test_nobody_reads_a_mirror_that_is_not_published(swift: SwiftServer) -> None:
    configuration = swift.configured()
    reads_and_writes(configuration)
    assert get(f"{address(swift, configuration)}/{PAGE}").status == 401


def test_everybody_reads_the_web_and_nobody_the_state(swift: SwiftServer) -> None:
    configuration = published(swift, f"segment_size = {SMALL}")
    body = os.urandom(2 * SMALL)

    async def work() -> None:
        async with opened(configuration) as storage:
            await storage.write(STATE, b"{}")
            await storage.write(Key("status"), b"7")
            await storage.write(PAGE, b"page")
            await store(storage, body, promised(body))
            keys = [entry.key async for entry in storage.list("")]
            assert keys == sorted([STATE, Key("status"), PAGE, FILE])
            assert [e.key async for e in storage.list("", after=FILE)] == [PAGE]
            assert [e.key async for e in storage.list("s", after=STATE)] == ["status"]
            assert [e.key async for e in storage.list("web/s")] == [PAGE]

    run(work())
    mirror = address(swift, configuration)
    assert get(f"{mirror}/{PAGE}").body == b"page"
    assert get(f"{mirror}/{FILE}").body == body
    assert get(f"{mirror}/{STATE}").status == 404
    assert get(f"{address(swift, configuration, 'state')}/{STATE}").status == 401
    container = mirror.removesuffix("/mirror")
    assert get(f"{container}?format=json").status in {401, 404}  # and nobody lists


async def write_a_page(storage: SwiftStorage) -> None:
    await storage.write(PAGE, b"page")


async def read_the_state(storage: SwiftStorage) -> None:
    stored = await storage.read(STATE)
    assert stored is not None
    assert stored.body == b"{}"


async def list_the_state(storage: SwiftStorage) -> None:
    assert [entry.key async for entry in storage.list("state/")] == [STATE]


@pytest.mark.parametrize("first", [write_a_page, read_the_state, list_the_state])
def test_the_state_of_a_mirror_that_is_published_later_moves(
    swift: SwiftServer,
    account: swiftclient.Connection,
    first: Callable[[SwiftStorage], Awaitable[None]],
) -> None:
    private = swift.configured()
    container = private.swift.default_container
    public = published(swift, f"default_container = {container}")

    async def begin() -> None:
        async with opened(private) as storage:
            await storage.write(STATE, b"{}")
            await storage.write(Key("status"), b"7")
            await storage.write(PAGE, b"page")
            account.put_object(container, "somebody's", b"own")

    async def go_on() -> None:
        async with opened(public) as storage:
            await first(storage)

    run(begin())
    run(go_on())
    assert names(account, container) == [f"mirror/{PAGE}", "somebody's"]
    assert names(account, f"{container}_state") == [f"mirror/{STATE}", "mirror/status"]


def test_publishing_adds_to_what_an_operator_has_set(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    configuration = published(swift)
    container = configuration.swift.default_container
    account.put_container(container, {"X-Container-Read": "friends:*"})

    reads_and_writes(configuration)
    reads_and_writes(configuration)

    held = account.head_container(container)
    assert held["x-container-read"] == "friends:*,.r:*"
    assert held["x-container-meta-web-index"] == "index.html"


@pytest.fixture
def web(swift: SwiftServer) -> str:
    """The address of a published mirror of a small upstream."""
    index = Index()
    index.upload(wheel("helper", "1.0"))
    index.upload(wheel("Demo", "1.0", requires=["helper>=1"]))
    with Server(index) as upstream:
        configuration = swift.configured(
            "publish = true", f"master = {upstream.url}\nallow-non-https = true"
        )
        run(mirrored(configuration, "demo", "helper"))
    return f"{address(swift, configuration)}/web"


async def mirrored(configuration: Config, *projects: str) -> None:
    async with open_mirror(configuration) as mirror:
        for project in projects:
            job = Job(RunId("run-1"), canonicalize_name(project), 0)
            attempt = Attempt(job)
            result = await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
            assert result.error is None


def test_staticweb_serves_the_mirror_s_pages(web: str) -> None:
    page = get(f"{web}/simple/demo/")
    assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
    assert [candidate.filename for candidate in read_by_pip(page)] == ["demo-1.0-py3-none-any.whl"]
    assert get(f"{web}/simple/demo").url == f"{web}/simple/demo/"
    assert get(f"{web}/simple/demo/index.v1_html").content_type == HTML
    assert get(f"{web}/simple/none/").status == 404  # uv stops at a 401
    assert get(f"{web}/simple/none").status == 404
    assert get(f"{web}/packages/none.whl").status == 404


def test_staticweb_serves_files_with_their_headers(web: str) -> None:
    (file,) = found_by_pip(web, "demo").values()
    assert file.url.startswith(f"{web}/packages/")
    assert file.metadata is not None
    with urllib.request.urlopen(file.url) as answer:  # noqa: S310
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert hashlib.sha256(answer.read()).hexdigest() == file.sha256
    assert get(f"{file.url}.metadata").status == 200


@pytest.mark.parametrize(
    "client",
    [
        ("pip", "--isolated", "install", "--no-cache-dir", "--disable-pip-version-check"),
        ("uv", "pip", "install", "--no-cache", "--no-config"),
    ],
    ids=["pip", "uv"],
)
def test_clients_install_through_staticweb(
    web: str, client: tuple[str, ...], tmp_path: Path
) -> None:
    where = ("--index-url", f"{web}/simple/", "--target", str(tmp_path))
    subprocess.run([sys.executable, "-m", *client, "--quiet", *where, "demo"], check=True)
    assert (tmp_path / "demo" / "__init__.py").exists()
    assert (tmp_path / "helper" / "__init__.py").exists()

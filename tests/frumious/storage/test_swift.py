"""What is specific to Swift: large files, logins, and public containers."""

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

from frumious.config import loading
from frumious.model.checksums import ExpectedContent, FileStream, WrongBytes
from frumious.model.types import Key
from frumious.storage.protocol import Conflict, StorageRefused, StorageUnavailable
from frumious.storage.swift.storage import SwiftStorage
from tests.clients import HTML, found_by_pip, get, read_by_pip
from tests.servers.keystone import CREDENTIAL, PROJECT, REGION, USER, KeystoneServer
from tests.servers.swift import SwiftServer, configured
from tests.servers.tls import TlsProxy
from tests.upstream import Index, Server, wheel
from tests.world import sync_projects

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
    """A client of the account, independent of the storage's code."""
    return swiftclient.Connection(authurl=swift.auth_url, user=swift.user, key=swift.key)


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[SwiftStorage]:
    storage = SwiftStorage(config)
    try:
        yield storage
    finally:
        await storage.aclose()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def pieces(body: bytes, size: int = 300) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def content_of(body: bytes, *, with_size: bool = True) -> ExpectedContent:
    digest = hashlib.sha256(body).hexdigest()
    return ExpectedContent("sha256", digest, len(body) if with_size else None)


async def store(
    storage: SwiftStorage, body: bytes, expected: ExpectedContent, key: Key = FILE
) -> None:
    await storage.store(key, FileStream(pieces(body), expected, "upstream"))


def names(account: swiftclient.Connection, container: str) -> list[str]:
    """Return the names of a container's objects; an empty list if it does not exist."""
    try:
        return [entry["name"] for entry in account.get_container(container)[1]]
    except swiftclient.ClientException:
        return []


def segments(account: swiftclient.Connection, config: Config) -> list[str]:
    return names(account, f"{config.swift.default_container}_segments")


# Large files


@pytest.mark.parametrize("with_size", [True, False])
@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 5 * SMALL + 7])
def test_a_file_of_any_size_is_read_as_it_was_written(
    swift: SwiftServer, size: int, *, with_size: bool
) -> None:
    body = os.urandom(size)

    async def work() -> None:
        async with opened(swift.configured(f"segment_size = {SMALL}")) as storage:
            await store(storage, body, content_of(body, with_size=with_size))

            stored, head = await storage.read(FILE), await storage.head(FILE)
            assert stored is not None
            assert head is not None
            assert stored.body == body
            assert (head.size, head.sha256) == (size, hashlib.sha256(body).hexdigest())
            assert head.etag == stored.etag
            assert [entry.size async for entry in storage.list("")] == [size]

    run(work())


def test_only_files_above_the_segment_size_are_segmented(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    config = swift.configured(f"segment_size = {SMALL}")

    async def work() -> None:
        async with opened(config) as storage:
            await store(storage, b"x" * SMALL, content_of(b"x" * SMALL))
            assert segments(account, config) == []
            await store(storage, b"x" * (2 * SMALL + 1), content_of(b"x" * (2 * SMALL + 1)))
            assert len(segments(account, config)) == 3

    run(work())


def test_segments_are_deleted_when_their_file_is_deleted_or_replaced(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    config = swift.configured(f"segment_size = {SMALL}")
    first, second = os.urandom(3 * SMALL), os.urandom(4 * SMALL)
    neighbour = Key(FILE + ".metadata")

    async def work() -> None:
        async with opened(config) as storage:
            await store(storage, first, content_of(first), neighbour)
            await store(storage, first, content_of(first))
            await store(storage, second, content_of(second))
            assert len(segments(account, config)) == 3 + 4

            await storage.delete([FILE])
            assert len(segments(account, config)) == 3
            stored = await storage.read(neighbour)
            assert stored is not None
            assert stored.body == first
            await storage.delete([neighbour, FILE])
            assert segments(account, config) == []

    run(work())


@pytest.mark.parametrize("segment_size", [SMALL, 10**6])
@pytest.mark.parametrize("with_size", [True, False])
def test_a_failed_upload_leaves_nothing(
    swift: SwiftServer, account: swiftclient.Connection, segment_size: int, *, with_size: bool
) -> None:
    config = swift.configured(f"segment_size = {segment_size}")
    body = os.urandom(3 * SMALL)
    other = ExpectedContent("sha256", content_of(b"other").digest, len(body) if with_size else None)

    async def work() -> None:
        async with opened(config) as storage:
            with pytest.raises(WrongBytes):
                await store(storage, body, other)
            expected = content_of(body, with_size=with_size)
            with pytest.raises(ConnectionResetError):
                await storage.store(FILE, FileStream(broken(body), expected, "upstream"))
            await cancelled_in_the_middle(storage, expected)
            assert await storage.head(FILE) is None
            assert [entry async for entry in storage.list("")] == []
            await asyncio.sleep(0.5)  # nothing is stored later either
            assert await storage.head(FILE) is None

    run(work())
    assert segments(account, config) == []


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

    storing = asyncio.create_task(storage.store(FILE, FileStream(endless(), expected, "upstream")))
    await under_way.wait()
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing


def test_a_failed_upload_keeps_the_existing_file(swift: SwiftServer) -> None:
    good, bad = os.urandom(3 * SMALL), os.urandom(3 * SMALL)

    async def work() -> None:
        async with opened(swift.configured(f"segment_size = {SMALL}")) as storage:
            await store(storage, good, content_of(good))
            with pytest.raises(WrongBytes):
                await store(
                    storage, bad, ExpectedContent("sha256", content_of(good).digest, len(bad))
                )
            stored = await storage.read(FILE)
            assert stored is not None
            assert stored.body == good

    run(work())


def test_a_file_shorter_than_expected_is_refused(swift: SwiftServer) -> None:
    async def work() -> None:
        async with opened(swift.configured()) as storage:
            with pytest.raises(WrongBytes, match="sent less than the 1000 bytes"):
                await storage.store(
                    FILE, FileStream(pieces(b"x" * 999), content_of(b"x" * 1000), "upstream")
                )
            assert await storage.head(FILE) is None

    run(work())


# Containers


def test_the_container_is_created_on_demand_and_recreated(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    config = swift.configured()
    container = config.swift.default_container

    async def work() -> None:
        async with opened(config) as storage:
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


def test_a_mirror_without_a_directory_has_keys_without_a_prefix(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    config = swift.configured(mirror="directory = /")

    async def work() -> None:
        async with opened(config) as storage:
            await storage.write(PAGE, b"page")
            assert [entry.key async for entry in storage.list("web/simple/d")] == [PAGE]

    run(work())
    assert names(account, config.swift.default_container) == [PAGE]


def test_concurrent_writers_in_one_process_conflict(
    swift: SwiftServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with opened(swift.configured()) as storage:
            etag = await storage.create(PAGE, b"0")
            writers = [storage.write(PAGE, str(n).encode(), replacing=etag) for n in range(1, 9)]
            outcomes = await asyncio.gather(*writers, return_exceptions=True)
            assert sum(isinstance(each, Conflict) for each in outcomes) == 7
            creators = [storage.create(STATE, b"{}") for _ in range(8)]
            outcomes = await asyncio.gather(*creators, return_exceptions=True)
            assert sum(isinstance(each, Conflict) for each in outcomes) == 7

    run(work())
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "only one process" in warnings[0].message


def test_objects_are_deleted_singly_if_the_cluster_lacks_bulk_deletion(swift: SwiftServer) -> None:
    keys = [Key(f"web/packages/{number}") for number in range(30)]

    async def work() -> None:
        async with opened(swift.configured()) as storage:
            cluster = await storage._cluster()
            assert cluster.deletes_in_bulk
            storage._capabilities = type(cluster)()  # as if the cluster reported none
            await asyncio.gather(*(storage.write(key, b"x") for key in keys))
            await storage.delete([*keys, Key("web/packages/never")])
            assert [entry async for entry in storage.list("")] == []

    run(work())


# Logins


def reads_and_writes(config: Config) -> None:
    async def work() -> None:
        async with opened(config) as storage:
            await storage.write(PAGE, b"page")
            await store(storage, b"file", content_of(b"file"))
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
def test_keystone_accepts_the_login(
    keystone: KeystoneServer, login: str, *, with_version: bool
) -> None:
    url = keystone.url if with_version else keystone.url.removesuffix("/v3")
    reads_and_writes(configured(f"auth_url = {url}\nregion = {REGION}\n{LOGINS[login]}"))


def test_the_environment_supplies_what_the_file_omits(keystone: KeystoneServer) -> None:
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
    """A clouds.yaml that OS_CLIENT_CONFIG_FILE names."""
    file = tmp_path / "clouds.yaml"
    file.write_text(f"""
clouds:
  own:
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


@pytest.mark.parametrize("cloud", ["own", "credential"])
def test_a_cloud_of_clouds_yaml_can_log_in(clouds: Path, cloud: str) -> None:
    reads_and_writes(configured(f"cloud = {cloud}"))


def test_a_missing_cloud_is_named(clouds: Path) -> None:
    with pytest.raises(StorageRefused, match=r"cannot use the cloud 'other': .*clouds.yaml"):
        reads_and_writes(configured("cloud = other"))


def test_a_wrong_password_is_reported_at_once(swift: SwiftServer, keystone: KeystoneServer) -> None:
    v1 = f"auth_version = 1\nauth_url = {swift.auth_url}\nusername = {swift.user}\npassword = no"
    v3 = f"auth_url = {keystone.url}\n{PASSWORD}x\nproject_name = {PROJECT['name']}"
    for login in (v1, v3):
        with pytest.raises(StorageRefused, match="check username, password and project"):
            reads_and_writes(configured(login))


def test_a_region_without_an_object_store_is_named(keystone: KeystoneServer) -> None:
    login = f"auth_url = {keystone.url}\nregion = Moon\n{LOGINS['password']}"
    with pytest.raises(StorageRefused, match="no object store in region 'Moon'"):
        reads_and_writes(configured(login))


def test_a_user_without_write_access_learns_what_to_check(swift: SwiftServer) -> None:
    login = (
        f"auth_version = 1\nauth_url = {swift.auth_url}\n"
        f"username = test:reader\npassword = reading\nobject_storage_url = {swift.storage_url}"
    )
    with pytest.raises(StorageRefused, match="check the user's role in the project"):
        reads_and_writes(configured(login))


def test_an_unreachable_cluster_is_a_transient_fault(swift: SwiftServer) -> None:
    login = (
        "auth_version = 1\nauth_url = http://127.0.0.1:9/auth/v1.0\n"
        "username = test:tester\npassword = testing\nretries = 0"
    )
    with pytest.raises(StorageUnavailable, match="cannot reach Swift for"):
        reads_and_writes(configured(login))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_self_signed_certificate_is_trusted_only_if_configured(
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


def test_an_expired_token_is_replaced(swift: SwiftServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swiftclient.client.sleep", lambda _: None)

    async def work() -> None:
        async with opened(swift.configured()) as storage:
            await storage.write(PAGE, b"page")
            invalidate_tokens(storage)
            await storage.write(PAGE, b"page")
            invalidate_tokens(storage)
            with pytest.raises(StorageUnavailable, match="the token has expired"):
                await store(storage, b"file", content_of(b"file"))
            await store(storage, b"file", content_of(b"file"))

    run(work())


def invalidate_tokens(storage: SwiftStorage) -> None:
    """Replace the stored tokens by one that Swift does not know."""
    plugin: Any = storage._account._session.auth
    plugin.auth_ref.auth_token = "AUTH_tkspoilt"
    for connection in storage._account._idle:
        connection.token = "AUTH_tkspoilt"


def test_secrets_are_neither_in_repr_nor_in_the_log(
    swift: SwiftServer, keystone: KeystoneServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []

    async def work(config: Config) -> None:
        async with opened(config) as storage:
            await storage.write(PAGE, b"page")
            await store(storage, b"file", content_of(b"file"))
            assert await storage.read(STATE) is None
            access = await storage._account.access()
            tokens.append(access.token)
            assert access.token not in repr(access)

    for login in LOGINS.values():
        config = configured(f"auth_url = {keystone.url}\n{login}")
        assert USER["password"] not in repr(config)
        assert CREDENTIAL["secret"] not in repr(config)
        run(work(config))
    run(work(swift.configured()))

    log = caplog.text
    assert "X-Auth-Token" in log  # the libraries log their requests
    for secret in (*tokens, *(token[:16] for token in tokens), USER["password"], "X-Auth-Key"):
        assert secret not in log
    assert CREDENTIAL["secret"] not in log


# Readers


def public_config(swift: SwiftServer, options: str = "") -> Config:
    return swift.configured(f"publish = true\n{options}")


def address(swift: SwiftServer, config: Config, container: str = "") -> str:
    """Return the URL of the mirror for readers, or that of another of its containers."""
    suffix = f"_{container}" if container else ""
    return f"{swift.storage_url}/{config.swift.default_container}{suffix}/mirror"


def test_an_unpublished_mirror_is_private(swift: SwiftServer) -> None:
    config = swift.configured()
    reads_and_writes(config)
    assert get(f"{address(swift, config)}/{PAGE}").status == 401


def test_a_published_mirror_s_pages_are_public_and_its_state_is_private(swift: SwiftServer) -> None:
    config = public_config(swift, f"segment_size = {SMALL}")
    body = os.urandom(2 * SMALL)

    async def work() -> None:
        async with opened(config) as storage:
            await storage.write(STATE, b"{}")
            await storage.write(Key("status"), b"7")
            await storage.write(PAGE, b"page")
            await store(storage, body, content_of(body))
            keys = [entry.key async for entry in storage.list("")]
            assert keys == sorted([STATE, Key("status"), PAGE, FILE])
            assert [e.key async for e in storage.list("", after=FILE)] == [PAGE]
            assert [e.key async for e in storage.list("s", after=STATE)] == ["status"]
            assert [e.key async for e in storage.list("web/s")] == [PAGE]

    run(work())
    mirror = address(swift, config)
    assert get(f"{mirror}/{PAGE}").body == b"page"
    assert get(f"{mirror}/{FILE}").body == body
    assert get(f"{mirror}/{STATE}").status == 404
    assert get(f"{address(swift, config, 'state')}/{STATE}").status == 401
    container = mirror.removesuffix("/mirror")
    assert get(f"{container}?format=json").status in {401, 404}  # nor is the listing public


async def write_a_page(storage: SwiftStorage) -> None:
    await storage.write(PAGE, b"page")


async def read_the_state(storage: SwiftStorage) -> None:
    stored = await storage.read(STATE)
    assert stored is not None
    assert stored.body == b"{}"


async def list_the_state(storage: SwiftStorage) -> None:
    assert [entry.key async for entry in storage.list("state/")] == [STATE]


@pytest.mark.parametrize("first", [write_a_page, read_the_state, list_the_state])
def test_the_state_moves_when_a_mirror_is_published_later(
    swift: SwiftServer,
    account: swiftclient.Connection,
    first: Callable[[SwiftStorage], Awaitable[None]],
) -> None:
    private = swift.configured()
    container = private.swift.default_container
    public = public_config(swift, f"default_container = {container}")

    async def begin() -> None:
        async with opened(private) as storage:
            await storage.write(STATE, b"{}")
            await storage.write(Key("status"), b"7")
            await storage.write(PAGE, b"page")
            account.put_object(container, "somebody's", b"own")

    async def publish() -> None:
        async with opened(public) as storage:
            await first(storage)

    run(begin())
    run(publish())
    assert names(account, container) == [f"mirror/{PAGE}", "somebody's"]
    assert names(account, f"{container}_state") == [f"mirror/{STATE}", "mirror/status"]


def test_publishing_keeps_an_operator_s_access_rules(
    swift: SwiftServer, account: swiftclient.Connection
) -> None:
    config = public_config(swift)
    container = config.swift.default_container
    account.put_container(container, {"X-Container-Read": "friends:*"})

    reads_and_writes(config)
    reads_and_writes(config)

    headers = account.head_container(container)
    assert headers["x-container-read"] == "friends:*,.r:*"
    assert headers["x-container-meta-web-index"] == "index.html"


@pytest.fixture
def web(swift: SwiftServer) -> str:
    """The URL of a published mirror of a small upstream."""
    index = Index()
    index.upload(wheel("helper", "1.0"))
    index.upload(wheel("Demo", "1.0", requires=["helper>=1"]))
    with Server(index) as upstream:
        config = swift.configured(
            "publish = true", f"master = {upstream.url}\nallow-non-https = true"
        )
        run(sync_projects(config, "demo", "helper"))
    return f"{address(swift, config)}/web"


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
    with urllib.request.urlopen(file.url) as response:  # noqa: S310
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert "s-maxage=86400, immutable" in response.headers["Cache-Control"]
        assert hashlib.sha256(response.read()).hexdigest() == file.sha256
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
    target = ("--index-url", f"{web}/simple/", "--target", str(tmp_path))
    subprocess.run([sys.executable, "-m", *client, "--quiet", *target, "demo"], check=True)
    assert (tmp_path / "demo" / "__init__.py").exists()
    assert (tmp_path / "helper" / "__init__.py").exists()

"""Which addresses are contacted, how they are sent, and with which credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from frumious.advisories.feed import fetch_feed
from frumious.config import loading
from frumious.errors import FrumiousError
from frumious.planning.lists import read_lists
from frumious.pythons.builds import mirror_builds
from frumious.upstream.addresses import AddressPolicy, HostRefused, Resolver, is_permitted
from tests.builds import CPYTHON
from tests.upstream import (
    Fault,
    Headers,
    Index,
    Redirect,
    RequireLogin,
    Server,
    Together,
    sdist,
)
from tests.upstream.actions import Edit
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.world import Aws

LOGIN = "Basic " + base64.b64encode(b"user:p@ss").decode()
# Requoting would change each of them: cases of escapes, escapes of what needs none, and others.
SIGNED = "X-Amz-Signature=a%2fb%2Bc+d%7e~e&X-Amz-Date=1:2/3?4,5;6@7&empty=&x=%41"


@pytest.fixture
def private(aws: Aws, index: Index) -> Iterator[World]:
    """A mirror of an upstream that requires a login for everything."""
    with Server(index) as server:
        server.faults.add(Fault(RequireLogin(LOGIN)))
        master = server.url.replace("//", "//user:p%40ss@")
        with World(aws, server, master=master) as world:
            yield world


@contextmanager
def elsewhere() -> Iterator[Server]:
    """Serve the files of another index on another port."""
    index = Index()
    index.upload(sdist("demo", "1.0"))
    with Server(index) as server:
        yield server


def path_of_file(index: Index) -> str:
    project = index.project("demo")
    assert project is not None
    return project.files[0].file.path


def edit_url(old: str, new: str) -> Edit:
    """Replace a text in the URLs of a page's files."""

    def change(page: dict[str, Any]) -> None:
        for file in page["files"]:
            file["url"] = file["url"].replace(old, new)

    return Edit(change)


# Credentials


def test_a_private_upstream_gets_its_login_for_pages_files_and_provenance(private: World) -> None:
    private.index.upload(sdist("demo", "1.0"), provenance={"version": 1})

    assert private.sync("demo").error is None
    assert len(private.files()) == 1
    assert private.upstream.requests_for("/integrity/")
    assert {request.headers.get("authorization") for request in private.upstream.requests} == {
        LOGIN
    }


def test_the_login_survives_a_redirect_on_the_same_host(private: World) -> None:
    private.index.upload(sdist("demo", "1.0"))
    private.upstream.faults.clear()
    private.upstream.faults.add(Fault(Redirect("/simple/demo/"), "/simple/demo/", times=1))
    private.upstream.faults.add(Fault(RequireLogin(LOGIN)))

    assert private.sync("demo").error is None


@pytest.mark.parametrize(
    "master", ["https://user:p%40ss@Index.example", "https://user:p%40ss@index.example:443/a"]
)
@pytest.mark.parametrize("host", ["index.example", "INDEX.example", "index.example:443"])
def test_the_login_is_sent_however_the_host_is_spelled(master: str, host: str) -> None:
    policy = AddressPolicy(loading.parse(f"[mirror]\ndirectory = /m\nmaster = {master}\n", {}))

    target = policy.check(f"https://{host}/packages/x")

    assert policy.login(target) == {"Authorization": LOGIN}


@pytest.mark.parametrize("redirected", [False, True])
def test_the_login_is_not_sent_to_another_port(private: World, *, redirected: bool) -> None:
    private.index.upload(sdist("demo", "1.0"))
    with elsewhere() as other:
        private.configure(f"allowed-hosts = {other.url.removeprefix('http://')}")
        if redirected:
            target = f"{other.url}{path_of_file(other.index)}"
            private.upstream.faults.clear()
            private.upstream.faults.add(Fault(Redirect(target), "/packages/"))
        else:
            private.upstream.faults.clear()
            private.upstream.faults.add(
                Fault(edit_url(private.upstream.url, other.url), "/simple/")
            )

        assert private.sync("demo").error is None
        assert other.requests
        assert not [each for each in other.requests if "authorization" in each.headers]


def test_the_login_is_not_sent_again_after_a_redirect_to_another_port(private: World) -> None:
    private.index.upload(sdist("demo", "1.0"))
    private.upstream.faults.clear()
    with elsewhere() as other:
        private.configure(f"allowed-hosts = {other.url.removeprefix('http://')}")
        private.upstream.faults.add(Fault(Redirect(f"{other.url}/back"), "/packages/", times=1))
        other.faults.add(Fault(Redirect(f"{private.upstream.url}/packages/x"), "/back"))
        private.sync("demo")

    first, last = private.upstream.requests_for("/packages/")[:2]
    assert first.headers["authorization"] == LOGIN
    assert last.path == "/packages/x"
    assert "authorization" not in last.headers


def test_a_redirect_cannot_bring_a_login_of_its_own(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    to = world.upstream.url.replace("//", "//user:hush@")
    world.upstream.faults.add(Fault(Redirect(f"{to}/simple/demo/"), "/simple/demo/", times=1))

    with pytest.raises(HostRefused, match="user name") as caught:
        world.sync("demo")

    assert "hush" not in str(caught.value)


def test_cookies_of_upstream_are_not_sent_back(aws: Aws, index: Index) -> None:
    index.upload(sdist("demo", "1.0"))
    with Server(index) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        cookie = Headers({"Set-Cookie": "a=b; Path=/"})
        server.faults.add(Fault(Together([edit_url(server.url, url), cookie])))
        with World(aws, server, master=url) as world:
            assert world.sync("demo").error is None
        assert len(server.requests) > 1
        assert not [request for request in server.requests if "cookie" in request.headers]


# Bytes


def test_a_signed_link_is_requested_byte_for_byte(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    signed = f"demo-1.0.tar.gz?{SIGNED}"
    world.upstream.faults.add(Fault(edit_url("demo-1.0.tar.gz", signed), "/simple/"))

    assert world.sync("demo").error is None
    (request,) = world.upstream.requests_for("/packages/")
    assert request.target.endswith(f"/{signed}")


def test_a_signed_redirect_is_followed_byte_for_byte(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    path = path_of_file(world.index)
    target = f"{world.upstream.url}{path}?{SIGNED}"
    world.upstream.faults.add(Fault(Redirect(target), "/packages/", times=1))

    assert world.sync("demo").error is None
    assert world.upstream.requests_for("/packages/")[-1].target == f"{path}?{SIGNED}"


FILE = "demo-1.0.tar.gz"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        (f"/a//b/%7Edemo/{FILE}", f"/a//b/%7Edemo/{FILE}"),
        (f"/a/%2e/b;c=d/e!*'()/{FILE}", f"/a/%2e/b;c=d/e!*'()/{FILE}"),
        (f"/a/{FILE};?b=%2f", f"/a/{FILE};?b=%2f"),
        (f"{{url}}/a//{FILE};?b=%2f", f"/a//{FILE};?b=%2f"),
        (f"//{{host}}/a/{FILE}", f"/a/{FILE}"),
        (f"../../a//b/%7E/{FILE}?c//../d", f"/a//b/%7E/{FILE}?c//../d"),
        (f"a//{FILE}", f"/simple/demo/a//{FILE}"),
        (f".././../../a/./b/../c//{FILE}", f"/a/c//{FILE}"),
        (f"/a/./b/../c//{FILE}", f"/a/c//{FILE}"),
    ],
)
def test_a_link_is_requested_byte_for_byte_but_for_its_dots(
    world: World, link: str, target: str
) -> None:
    world.index.upload(sdist("demo", "1.0"))
    url = world.upstream.url

    def change(page: dict[str, Any]) -> None:
        page["files"][0]["url"] = link.format(url=url, host=url.partition("//")[2])

    world.upstream.faults.add(Fault(Edit(change), "/simple/"))
    world.sync("demo")

    assert target in {each.target for each in world.upstream.requests}


@pytest.mark.parametrize("folder", ["/a//b/%7Edemo/", "/a:b/", "/http://c.example/"])
def test_a_download_mirror_is_asked_for_the_path_byte_for_byte(world: World, folder: str) -> None:
    world.index.upload(sdist("demo", "1.0"))
    with elsewhere() as mirror:
        world.configure(f"download-mirror = {mirror.url}/mirrored")

        def change(page: dict[str, Any]) -> None:
            page["files"][0]["url"] = f"{world.upstream.url}{folder}demo-1.0.tar.gz?{SIGNED}"

        world.upstream.faults.add(Fault(Edit(change), "/simple/"))
        world.sync("demo")

        targets = {each.target for each in mirror.requests}
        assert targets == {f"/mirrored{folder}demo-1.0.tar.gz"}, "a signature is for its own host"


@pytest.mark.parametrize("login", ["", "user:hush@"])
def test_the_address_of_a_list_is_requested_byte_for_byte(world: World, login: str) -> None:
    url = f"{world.upstream.url.replace('//', f'//{login}')}/a//%7E/list.txt?{SIGNED}"
    world.configure(sections=f"{LOCKS}{url}")
    with pytest.raises(FrumiousError):
        world.run(read_list)

    (request,) = world.upstream.requests
    assert request.target == f"/a//%7E/list.txt?{SIGNED}"


# Hosts


def test_an_allowed_host_is_not_asked_without_tls() -> None:
    text = (
        "[mirror]\ndirectory = /m\nmaster = https://index.example\nallowed-hosts = files.example\n"
    )
    policy = AddressPolicy(loading.parse(text, {}))

    assert policy.check("https://files.example/x")
    with pytest.raises(HostRefused, match="allow-non-https"):
        policy.check("http://files.example/x")


def test_another_port_of_upstream_s_host_is_refused(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    with elsewhere() as other:
        world.upstream.faults.add(Fault(edit_url(world.upstream.url, other.url), "/simple/"))

        assert "allowed-hosts" in str(world.sync("demo").error)
        assert not other.requests


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_a_name_of_a_private_address_is_refused(
    world: World, name: str, *, redirected: bool
) -> None:
    """The name is allowed, but not configured, as that of PyPI's files: its DNS has changed."""
    world.index.upload(sdist("demo", "1.0"))
    url = world.upstream.url.replace("127.0.0.1", name)
    port = int(url.rpartition(":")[2])
    hosts = world.config.allowed_hosts | {("localhost", port)}
    world.config = replace(world.config, allowed_hosts=hosts, public_hosts=frozenset({"localhost"}))
    if redirected:
        world.upstream.faults.add(Fault(Redirect(f"{url}/packages/x"), "/packages/"))
    else:
        world.upstream.faults.add(Fault(edit_url(world.upstream.url, url), "/simple/"))

    assert "is not public" in str(world.sync("demo").error)
    assert len(world.upstream.requests_for("/packages/")) == int(redirected)


@pytest.fixture
def resolving_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that lets all names that are no addresses have one address."""
    resolve = socket.getaddrinfo

    def start(address: str) -> None:
        def rebound(host: str, *arguments: Any, **options: Any) -> Any:
            is_name = host.endswith((".example", ".com"))
            return resolve(address if is_name else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", rebound)

    return start


def test_a_configured_name_does_not_lead_to_a_cloud_s_metadata(
    world: World, resolving_to: Callable[[str], None]
) -> None:
    world.index.upload(sdist("demo", "1.0"))
    world.upstream.faults.add(
        Fault(edit_url(world.upstream.url, "http://rebound.example"), "/simple/")
    )
    world.configure("allowed-hosts = rebound.example")
    resolving_to("169.254.169.254")

    assert "169.254.169.254, which is not public" in str(world.sync("demo").error)


@pytest.mark.parametrize(
    ("addresses", "permitted"),
    [
        (("10.0.0.1", "151.101.0.223", "fd00::1"), ["151.101.0.223"]),
        (("169.254.169.254", "127.0.0.1", "fe80::1", "::1"), ["127.0.0.1", "::1"]),
    ],
)
def test_of_several_addresses_of_a_name_only_the_permitted_ones_are_contacted(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], permitted: list[str]
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, *args, **options: [
            info for each in addresses for info in resolve(each, *args, **options)
        ],
    )
    public = {"files.example"} if "151.101.0.223" in addresses else set[str]()

    async def resolved() -> list[str]:
        resolver = Resolver(public)
        found = await resolver.resolve("files.example", 443, socket.AF_UNSPEC)
        await resolver.close()
        return [each["host"] for each in found]

    assert asyncio.run(resolved()) == permitted


@pytest.mark.parametrize(
    ("address", "as_public", "as_configured"),
    [
        ("151.101.0.223", True, True),
        ("2a04:4e42::223", True, True),
        ("64:ff9b::9765:df", True, True),  # NAT64 of 151.101.0.223
        ("203.0.113.80", True, True),  # for documentation: no network of anybody's
        ("2001:db8::1", True, True),
        ("127.0.0.1", False, True),
        ("10.0.0.1", False, True),
        ("172.16.0.1", False, True),
        ("192.168.0.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("fec0::1", False, True),  # RFC 3879
        ("::ffff:0:a00:1", False, True),  # RFC 2765
        ("240.0.0.1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::a00:1", False, True),
        ("2002:a00:1::", False, True),
        ("::a00:1", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("::a9fe:a9fe", False, False),
        ("fd00:ec2::254", False, False),
        ("fd00:ec2::254%eth0", False, False),
        ("fd00:ec2::23", False, False),
        ("fd20:ce::254", False, False),
        ("100.100.100.200", False, False),
        ("::ffff:100.100.100.200", False, False),
        ("192.0.0.192", False, False),
        ("168.63.129.16", False, False),
        ("::", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),  # noqa: S104
        ("224.0.0.1", False, False),
    ],
)
def test_which_addresses_a_name_may_have(
    address: str, *, as_public: bool, as_configured: bool
) -> None:
    assert is_permitted(address, public=True) is as_public
    assert is_permitted(address, public=False) is as_configured


# What is not upstream's: lists, the feed of advisories, builds of Python


async def read_list(mirror: Mirror) -> None:
    await read_lists(mirror.config, mirror.clock)


async def read_feed(mirror: Mirror) -> None:
    policy = mirror.config.advisories
    assert policy is not None
    await fetch_feed(policy, "", mirror.config, mirror.clock)


async def read_builds(mirror: Mirror) -> None:
    policy = mirror.config.pythons
    assert policy is not None
    done = await mirror_builds(policy, mirror)
    if done.problems:
        raise HostRefused(done.problems[0])


ASKED = "/x/releases/download/1/asked"
LOCKS = "[plugins]\nenabled = project_locks\n[locks]\nfiles = "
OTHERS: dict[str, tuple[str, Callable[[Mirror], Awaitable[None]]]] = {
    "list": (f"{LOCKS}{{origin}}{ASKED}.txt", read_list),
    "list with login": (f"{LOCKS}{{login}}{ASKED}.txt", read_list),
    "feed": (f"[advisories]\nfeed = {{origin}}{ASKED}", read_feed),
    "list of builds": (f"[pythons]\nlist = {{origin}}{ASKED}", read_builds),
    "build": ("[pythons]\nlist = {file}\nallowed-hosts = {host}", read_builds),
    "build of a host": ("[pythons]\nlist = {file}\nhost = {origin}", read_builds),
}


@pytest.fixture(params=OTHERS)
def other(
    request: pytest.FixtureRequest, private: World, tmp_path: Path
) -> Callable[[str, str], str]:
    """Return a function that asks a host, and returns why that fails."""
    sections, read = OTHERS[request.param]

    def ask(origin: str, options: str) -> str:
        build = {
            **CPYTHON,
            "url": f"{origin}{ASKED}",
            "sha256": "0" * 64,
        }
        (tmp_path / "list.json").write_text(json.dumps({"build": build}))
        login = origin.replace("//", "//user:hush@")
        host = origin.partition("//")[2]
        filled = sections.format(origin=origin, login=login, host=host, file=tmp_path / "list.json")
        private.configure(options, sections=filled)
        with pytest.raises(FrumiousError) as caught:
            private.run(read)
        return str(caught.value)

    return ask


def test_no_other_host_is_contacted_although_upstream_s_files_may_be_there(
    private: World, other: Callable[[str, str], str]
) -> None:
    with elsewhere() as asked, elsewhere() as target:
        asked.faults.add(Fault(Redirect(f"{target.url}/stolen"), ASKED))
        allowed = f"allowed-hosts = {target.url.removeprefix('http://')}"

        assert "are not allowed" in other(asked.url, allowed)
        assert asked.requests
        assert not target.requests
        logins = [each.headers.get("authorization") for each in asked.requests]
        assert LOGIN not in logins, "upstream's login is for upstream"


def test_a_redirect_to_upstream_brings_no_login_and_is_refused(
    private: World, other: Callable[[str, str], str]
) -> None:
    with elsewhere() as asked:
        asked.faults.add(Fault(Redirect(f"{private.upstream.url}/simple/"), ASKED))

        assert "are not allowed" in other(asked.url, "")
        assert not private.upstream.requests


def test_no_other_name_leads_to_a_cloud_s_metadata(
    other: Callable[[str, str], str], resolving_to: Callable[[str], None]
) -> None:
    resolving_to("169.254.169.254")

    assert "169.254.169.254, which is not public" in other("http://rebound.example", "")


def test_osv_s_name_does_not_lead_into_this_network(
    world: World, resolving_to: Callable[[str], None]
) -> None:
    resolving_to("10.0.0.1")
    world.configure(sections="[advisories]\n")

    with pytest.raises(FrumiousError, match=r"10\.0\.0\.1, which is not public"):
        world.run(read_feed)


# Provenance


@pytest.mark.parametrize(
    "path",
    [
        "/pypi/demo/json",
        "/integrity/other/1.0/demo-1.0.tar.gz/provenance",
        "/integrity/demo/1.0/other-1.0.tar.gz/provenance",
        "/integrity/demo/1.0/demo-1.0.tar.gz",
    ],
)
def test_only_a_file_s_own_provenance_is_published(world: World, path: str) -> None:
    """Otherwise a page could publish what only the mirror may read."""
    world.index.upload(sdist("demo", "1.0"))

    def change(page: dict[str, Any]) -> None:
        page["files"][0]["provenance"] = f"{world.upstream.url}{path}"

    world.upstream.faults.add(Fault(Edit(change), "/simple/"))

    assert "provenance" in str(world.sync("demo").error)
    assert not world.upstream.requests_for(path)
    assert not world.stored("web/integrity/")
    assert len(world.page("demo")["files"]) == 1


@pytest.mark.parametrize(
    "provenance", [{}, {"version": "1"}, {"version": 1, "attestation_bundles": 1}]
)
def test_an_object_that_is_no_provenance_is_not_published(
    world: World, provenance: dict[str, Any]
) -> None:
    world.index.upload(sdist("demo", "1.0"), provenance=provenance)

    assert "is not a provenance" in str(world.sync("demo").error)
    assert not world.stored("web/integrity/")


@pytest.mark.parametrize(
    ("media_type", "is_published"),
    [
        ("application/vnd.pypi.integrity.v1+json", True),
        ("application/json; charset=utf-8", True),  # a folder's server knows no more
        ("text/html", False),
        ("application/vnd.pypi.simple.v1+json", False),
    ],
)
def test_only_what_has_the_media_type_of_a_provenance_is_published(
    world: World, media_type: str, *, is_published: bool
) -> None:
    world.index.upload(sdist("demo", "1.0"), provenance={"version": 1})
    world.upstream.faults.add(Fault(Headers({"Content-Type": media_type}), "/integrity/"))

    assert (world.sync("demo").error is None) is is_published
    assert bool(world.stored("web/integrity/")) is is_published

"""The fake upstream as its clients see it."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from xmlrpc.client import Fault as RpcError
from xmlrpc.client import ProtocolError, ServerProxy

import pytest
from packaging.metadata import parse_email

from tests.upstream import (
    BANDERSNATCH,
    DEVPI,
    HTML_ONLY,
    Action,
    Chunked,
    Edit,
    Endless,
    Fault,
    Gzip,
    Index,
    NoRange,
    RateLimited,
    Raw,
    Redirect,
    Request,
    Reset,
    Server,
    Slow,
    Stale,
    Status,
    Together,
    Truncated,
    Wire,
    WrongBytes,
    WrongLength,
    sdist,
    wheel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PROVENANCE = {"version": 1, "attestation_bundles": []}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str, method: str = "GET", **headers: str) -> Reply:
    """Send a request without following redirects; `_` in a header's name stands for `-`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, parts.path, headers=named)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


class Links(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs))


@pytest.fixture
def index() -> Index:
    index = Index()
    index.upload(wheel("Demo", "1.0", requires=["helper>=1"], requires_python=">=3.8"))
    index.upload(sdist("Demo", "1.0"))
    index.upload(wheel("helper", "1.0"), provenance=PROVENANCE)
    return index


@pytest.fixture
def server(index: Index) -> Iterator[Server]:
    with Server(index) as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[ServerProxy]:
    with ServerProxy(f"{server.url}/pypi") as proxy:
        yield proxy


def page_of(server: Server, project: str) -> Any:
    return get(f"{server.url}/simple/{project}/", Accept=JSON).json


def file_url(server: Server, project: str = "helper") -> str:
    url: str = page_of(server, project)["files"][-1]["url"]
    return url


# Clients


def test_pip_installs_a_wheel_and_what_it_requires(server: Server, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--no-compile"]
    where = ["--index-url", f"{server.url}/simple/", "--target", str(tmp_path)]
    subprocess.run([*pip, *where, "--disable-pip-version-check", "demo"], check=True)

    code = "import demo, helper; print(demo.__version__, helper.__version__)"
    run = [sys.executable, "-c", code]
    output = subprocess.run(run, cwd=tmp_path, capture_output=True, check=True).stdout
    assert output.split() == [b"1.0", b"1.0"]
    assert server.requests_for("/simple/demo/")[0].headers["user-agent"].startswith("pip/")


def test_uv_installs_from_a_second_files_host(index: Index, tmp_path: Path) -> None:
    uv = [sys.executable, "-m", "uv", "pip", "install", "--no-cache", "--no-config"]
    with Server(index, files_host="localhost") as server:
        where = ["--index-url", f"{server.url}/simple/", "--target", str(tmp_path)]
        subprocess.run([*uv, *where, "demo"], check=True)
        hosts = {request.host for request in server.requests_for("/packages/")}
        on_the_index = get(file_url(server).replace(server.files_url, server.url))
    assert (tmp_path / "demo" / "__init__.py").exists()
    assert hosts == {"files"}
    assert on_the_index.status == 404


def test_xml_rpc_returns_changes(index: Index, server: Server, proxy: ServerProxy) -> None:
    before = index.serial
    index.add_file("Six", "six-1.0-py3-none-any.whl", yanked="broken")
    index.archive("Six")

    assert proxy.changelog_last_serial() == index.serial
    rows: Any = proxy.changelog_since_serial(before)
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("Six", None, "create"),
        ("Six", "1.0", "new release"),
        ("Six", "1.0", "add py3 file six-1.0-py3-none-any.whl"),
        ("Six", "1.0", "yank release"),
    ]
    assert [row[4] for row in rows] == list(range(before + 1, before + 5))
    assert proxy.list_packages_with_serial() == {
        name: serial for _, name, serial in index.projects()
    }
    assert server.requests[0].rpc == "changelog_last_serial"

    server.row_limit = 2
    assert proxy.changelog_since_serial(before) == rows[:2]


def test_xml_rpc_limits_its_callers(server: Server, proxy: ServerProxy) -> None:
    server.faults.add(Fault(RateLimited(7), match=re.compile("^/pypi$"), times=1))
    with pytest.raises(RpcError, match=r"HTTPTooManyRequests.*reset in 7 seconds") as caught:
        proxy.changelog_last_serial()
    assert caught.value.faultCode == -32500
    assert proxy.changelog_last_serial() == server.index.serial
    with pytest.raises(RpcError, match="not found"):
        proxy.search("six")


# The index


def test_a_project_page_has_pypi_s_fields(index: Index, server: Server) -> None:
    reply = get(f"{server.url}/simple/demo/", Accept=JSON)
    page = reply.json
    built = wheel("Demo", "1.0", requires=["helper>=1"], requires_python=">=3.8")
    entry, source = page["files"]

    assert reply.headers["Content-Type"] == JSON
    assert reply.headers["Vary"] == "Accept"
    assert reply.headers["Cache-Control"] == "max-age=600"
    assert reply.headers["X-PyPI-Last-Serial"] == str(page["meta"]["_last-serial"])
    assert page["meta"]["api-version"] == "1.4"
    assert (page["name"], page["versions"]) == ("demo", ["1.0"])
    assert page["project-status"] == {"status": "active"}
    assert entry["hashes"] == {"sha256": hashlib.sha256(built.content).hexdigest()}
    assert entry["size"] == len(built.content)
    assert entry["requires-python"] == ">=3.8"
    assert (entry["yanked"], entry["provenance"]) == (False, None)
    assert (source["requires-python"], source["core-metadata"]) == (None, False)

    digest = hashlib.blake2b(built.content, digest_size=32).hexdigest()
    path = f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{built.filename}"
    assert entry["url"] == server.url + path
    assert get(entry["url"]).body == built.content
    metadata = get(entry["url"] + ".metadata").body
    assert entry["core-metadata"] == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert parse_email(metadata)[0]["requires_dist"] == ["helper>=1"]
    assert get(source["url"] + ".metadata").status == 404


def test_html_and_json_pages_have_the_same_content(index: Index, server: Server) -> None:
    index.yank("demo", "1.0", 'a "bad" <one>')
    page = page_of(server, "demo")
    reply = get(f"{server.url}/simple/demo/")
    links = Links(reply.body).links
    assert reply.headers["Content-Type"].startswith("text/html")
    assert [link["href"] for link in links] == [
        f"{file['url']}#sha256={file['hashes']['sha256']}" for file in page["files"]
    ]
    assert [link["data-yanked"] for link in links] == [file["yanked"] for file in page["files"]]
    assert links[0]["data-requires-python"] == ">=3.8"
    assert links[0]["data-core-metadata"] == (
        f"sha256={page['files'][0]['core-metadata']['sha256']}"
    )
    assert reply.body.endswith(f"<!--SERIAL {index.serial}-->\n".encode())


def test_provenance_and_legacy_json(index: Index, server: Server) -> None:
    reply = get(page_of(server, "helper")["files"][0]["provenance"])
    assert reply.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    assert reply.json == PROVENANCE

    legacy = get(f"{server.url}/pypi/demo/json").json
    assert legacy["info"]["name"] == "Demo"
    assert [file["packagetype"] for file in legacy["releases"]["1.0"]] == ["bdist_wheel", "sdist"]
    assert legacy["last_serial"] == page_of(server, "demo")["meta"]["_last-serial"]
    assert get(f"{server.url}/pypi/Demo/json").status == 301


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("image/png", "text/html"),
        (f"{JSON}, {HTML};q=0.1, text/html;q=0.01", JSON),
        (f"{JSON};q=0.1, {HTML};q=0.2", HTML),
        (f"{JSON};q=0, */*;q=0.1", "text/html"),
        (f"text/html;q=0, {HTML};q=0, application/*", JSON),
    ],
)
def test_the_format_is_negotiated(server: Server, accept: str, content_type: str) -> None:
    for path in ("/simple/", "/simple/demo/"):
        assert get(server.url + path, Accept=accept).headers["Content-Type"] == content_type


def test_names_and_slashes_are_corrected_by_redirects(server: Server) -> None:
    for path in ("/simple/Demo/", "/simple/demo", "/simple/DEMO"):
        reply = get(server.url + path)
        assert (reply.status, reply.headers["Location"]) == (301, "/simple/demo/")
    assert get(f"{server.url}/simple").headers["Location"] == "/simple/"
    assert get(f"{server.url}/simple/absent/").status == 404
    assert get(f"{server.url}/simple/demo/", "HEAD").body == b""


def test_pages_are_confirmed_by_their_etag(index: Index, server: Server) -> None:
    for path in ("/simple/", "/simple/demo/"):
        etag = get(server.url + path, Accept=JSON).headers["ETag"]
        unchanged = get(server.url + path, Accept=JSON, If_None_Match=f'"x", W/{etag}')
        assert (unchanged.status, unchanged.body) == (304, b"")
        index.journal("demo", "add Owner someone")
        assert get(server.url + path, Accept=JSON, If_None_Match=etag).status == 200


def test_each_change_shows_on_the_page_and_in_the_changelog(index: Index, server: Server) -> None:
    def last() -> tuple[str | None, str]:
        change = index.changes_since(index.serial - 1)[0]
        return change.version, change.action

    def files() -> list[str]:
        return [file["filename"] for file in page_of(server, "six")["files"]]

    for filename in ("six-1.0.tar.gz", "six-2.0.tar.gz", "six-2.0-py3-none-any.whl"):
        index.add_file("six", filename)
    assert files() == ["six-1.0.tar.gz", "six-2.0-py3-none-any.whl", "six-2.0.tar.gz"]
    index.quarantine_release("six", "2.0")
    assert last() == ("2.0", "release quarantined")
    assert files() == ["six-1.0.tar.gz"]
    index.clear_release_quarantine("six", "2.0")
    assert last() == ("2.0", "release quarantine cleared")
    index.remove_file("six", "six-2.0.tar.gz")
    assert last() == ("2.0", "remove file six-2.0.tar.gz")
    assert files() == ["six-1.0.tar.gz", "six-2.0-py3-none-any.whl"]
    blob = file_url(server, "six")
    index.remove_release("six", "2.0")
    assert last() == ("2.0", "remove release")
    assert files() == ["six-1.0.tar.gz"]
    assert get(blob).status == 200

    index.quarantine_project("six", "malware")
    assert last() == (None, "project quarantined")
    assert page_of(server, "six")["project-status"] == {
        "reason": "malware",
        "status": "quarantined",
    }
    assert files() == []
    assert get(f"{server.url}/pypi/six/json").status == 404
    assert "six" not in [name for _, name, _ in index.projects()]
    assert "six" in [name for _, name, _ in index.projects(quarantined=True)]
    index.clear_project_quarantine("six")
    assert last() == (None, "project quarantine cleared")

    serial, revision = index.serial, index.revision
    index.archive("six")
    assert page_of(server, "six")["project-status"] == {"status": "archived"}
    index.rename("Six")
    assert index.serial == serial
    assert index.revision > revision
    root = get(f"{server.url}/simple/", Accept=JSON).json
    assert {"name": "Six", "_last-serial": serial} in root["projects"]

    index.remove_project("six")
    assert last() == (None, "remove project")
    assert get(f"{server.url}/simple/six/").status == 404
    index.add_project("SIX")
    assert files() == []
    with pytest.raises(LookupError, match="no project 'nine'"):
        index.remove_project("nine")


def test_late_metadata_comes_without_an_event(index: Index, server: Server) -> None:
    index.add_file("late", "late-1.0-py3-none-any.whl")
    url, serial = file_url(server, "late"), index.serial
    assert get(url + ".metadata").status == 404
    index.backfill_metadata("late", "late-1.0-py3-none-any.whl", b"Name: late\n")
    assert get(url + ".metadata").body == b"Name: late\n"
    assert page_of(server, "late")["files"][0]["core-metadata"]
    assert index.serial == serial


@pytest.mark.parametrize(
    ("range_header", "status", "sent"),
    [
        ("bytes=100-199", 206, range(100, 200)),
        ("bytes=2999990-", 206, range(2_999_990, 3_000_000)),
        ("bytes=1048000-2098000", 206, range(1_048_000, 2_098_001)),
        ("bytes=-5", 206, range(2_999_995, 3_000_000)),
        ("bytes=3000000-", 416, range(0)),
        ("lines=1-2", 200, range(3_000_000)),
    ],
)
def test_ranges_of_a_generated_file(
    index: Index, server: Server, range_header: str, status: int, sent: range
) -> None:
    file = index.add_file("big", "big-1.0.tar.gz", size=3_000_000)
    whole = b"".join(file.content.read())
    url = file_url(server, "big")
    assert len(whole) == 3_000_000
    assert page_of(server, "big")["files"][0]["hashes"] == {
        "sha256": hashlib.sha256(whole).hexdigest()
    }
    reply = get(url, Range=range_header)
    assert (reply.status, reply.body) == (status, whole[sent.start : sent.stop])
    assert reply.headers["Content-Length"] == str(len(sent))
    if status == 206:
        assert reply.headers["Content-Range"] == f"bytes {sent.start}-{sent.stop - 1}/3000000"
        assert get(url, Range=range_header, If_Range=reply.headers["ETag"]).status == 206
        assert get(url, Range=range_header, If_Range='"other"').status == 200


def test_a_large_file_is_never_in_memory_as_a_whole(index: Index, server: Server) -> None:
    index.add_file("huge", "huge-1.0.tar.gz", size=100_000_000)
    url = file_url(server, "huge")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received = hashlib.sha256()
    with urllib.request.urlopen(url) as response:  # noqa: S310
        while block := response.read(1 << 20):
            received.update(block)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert received.hexdigest() == page_of(server, "huge")["files"][0]["hashes"]["sha256"]
    assert grown < 20_000  # KiB


def test_distributions_are_the_same_bytes_every_time() -> None:
    assert wheel("demo", "1.0") == wheel("demo", "1.0")
    assert sdist("demo", "1.0") == sdist("demo", "1.0")
    assert wheel("demo", "1.0").content != wheel("demo", "1.1").content


def test_a_root_index_of_pypis_size() -> None:
    index = Index()
    index.add_many(f"Project-{number}" for number in range(740_000))
    with Server(index) as server:
        first = get(f"{server.url}/simple/", Accept=JSON)
        repeated = get(f"{server.url}/simple/", Accept=JSON, If_None_Match=first.headers["ETag"])
    assert len(first.json["projects"]) == 740_000
    assert repeated.status == 304


def test_a_project_with_thousands_of_files() -> None:
    index = Index()
    for number in range(10_000):
        index.add_file("many", f"many-{number}.0.tar.gz", size=10)
    with Server(index) as server:
        page = page_of(server, "many")
        last = get(page["files"][-1]["url"])
    assert page["versions"] == [f"{number}.0" for number in range(10_000)]
    assert len(last.body) == 10


# Faults


def test_a_stale_page_is_an_older_one_with_an_older_serial(
    index: Index, server: Server, proxy: ServerProxy
) -> None:
    before = index.serial
    old = {path: get(server.url + path).body for path in ("/simple/", "/simple/demo/")}
    index.add_file("demo", "demo-2.0.tar.gz")
    index.add_file("other", "other-1.0.tar.gz")
    index.remove_file("demo", "demo-1.0.tar.gz")
    fault = server.faults.add(Fault(Stale(before), match="/simple/"))
    for path, body in old.items():
        assert get(server.url + path).body == body
    assert get(f"{server.url}/simple/other/").status == 404
    assert proxy.changelog_last_serial() == index.serial
    server.faults.remove(fault)
    assert page_of(server, "demo")["meta"]["_last-serial"] == index.serial


def test_a_fault_happens_where_and_as_often_as_configured(server: Server) -> None:
    server.faults.add(Fault(Status(503), match="/simple/demo/", times=2, skip=1))
    server.faults.add(Fault(Status(429, retry_after=3), match=re.compile("demo"), times=1, skip=1))
    replies = [get(f"{server.url}/simple/demo/") for _ in range(5)]
    assert [reply.status for reply in replies] == [200, 503, 503, 429, 200]
    assert replies[3].headers["Retry-After"] == "3"
    assert get(f"{server.url}/simple/helper/").status == 200
    assert [request.status for request in server.requests] == [200, 503, 503, 429, 200, 200]


def test_a_fault_of_a_project_follows_it_everywhere(server: Server) -> None:
    demo = page_of(server, "demo")["files"][0]["url"]
    helper = page_of(server, "helper")["files"][0]
    server.faults.add(Fault(Status(500), project="Helper"))
    paths = (f"{server.url}/simple/helper/", f"{server.url}/pypi/helper/json")
    assert {
        get(url).status
        for url in (*paths, helper["url"], helper["url"] + ".metadata", helper["provenance"])
    } == {500}
    assert get(demo).status == 200


def test_faults_can_be_drawn_from_a_seed(server: Server) -> None:
    def statuses(seed: int) -> list[int]:
        chance = random.Random(seed)

        def inject(request: Request) -> Action | None:
            return Status(502) if request.method == "GET" and chance.random() < 0.5 else None

        server.faults.inject = inject
        return [get(f"{server.url}/simple/").status for _ in range(20)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 502}


def test_broken_deliveries(server: Server) -> None:
    url = file_url(server)
    whole = get(url).body
    server.clear()

    server.faults.add(Fault(Truncated(10), times=1))
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(url)
    assert caught.value.partial == whole[:10]
    server.faults.add(Fault(Truncated(0), times=1))
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    server.faults.add(Fault(Reset(), times=1))
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        get(url)
    server.faults.add(Fault(Reset(after=10), times=1))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get(url)
    assert [request.sent for request in server.requests] == [10, 0, 0, 10]

    server.faults.add(Fault(Chunked(), times=1))
    chunked = get(url)
    assert chunked.body == whole
    assert chunked.headers["Content-Length"] is None
    server.faults.add(Fault(NoRange(), times=1))
    assert get(url, Range="bytes=5-").status == 200
    assert get(url, Range="bytes=5-").body == whole[5:]


def test_broken_bytes(server: Server) -> None:
    url = file_url(server)
    whole = get(url).body
    server.faults.add(Fault(WrongBytes(), times=1))
    assert get(url).body == whole[:-1] + bytes([whole[-1] ^ 0xFF])
    server.faults.add(Fault(WrongLength(+7), times=1))
    assert get(url).body == whole + bytes(7)
    server.faults.add(Fault(WrongLength(-7), times=1))
    assert get(url).body == whole[:-7]
    server.faults.add(Fault(Together([WrongBytes(0), WrongLength(-1)]), times=1))
    assert get(url).body == bytes([whole[0] ^ 0xFF]) + whole[1:-1]
    server.faults.add(Fault(Gzip(), times=1))
    packed = get(f"{server.url}/simple/demo/", Accept=JSON)
    assert packed.headers["Content-Encoding"] == "gzip"
    unpacked = zlib.decompress(packed.body, wbits=31)
    assert json.loads(unpacked) == page_of(server, "demo")


def test_an_endless_body_ends_with_its_reader(index: Index) -> None:
    with Server(index) as server:
        server.faults.add(Fault(Endless(), match="/simple/"))
        response = urllib.request.urlopen(f"{server.url}/simple/")  # noqa: S310
        assert len(response.read(5_000_000)) == 5_000_000
    response.close()


def test_a_slow_response(server: Server) -> None:
    url = file_url(server)
    size = len(get(url).body)
    server.faults.add(Fault(Slow(rate=size * 5), times=1))
    server.faults.add(Fault(Slow(delay=0.2), times=1))
    for _ in range(2):
        started = time.perf_counter()
        assert len(get(url).body) == size
        assert time.perf_counter() - started > 0.19
    server.faults.add(Fault(Slow(delay=60)))  # leaving the server does not wait for it
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(url, timeout=0.05)  # noqa: S310


def test_redirects(server: Server) -> None:
    server.faults.add(Fault(Redirect(f"{server.url}/simple/helper/"), match="/simple/demo/"))
    server.faults.add(Fault(Redirect(status=301), match="/simple/helper/"))
    with pytest.raises(urllib.error.HTTPError, match="infinite loop"):
        urllib.request.urlopen(f"{server.url}/simple/demo/")  # noqa: S310


def test_hostile_responses(server: Server) -> None:
    url = f"{server.url}/simple/demo/"
    server.faults.add(Fault(Raw(299, [("X-A", "1"), ("X-A", "2")], b"\0not json"), times=1))
    reply = get(url)
    assert (reply.status, reply.body) == (299, b"\0not json")
    assert reply.headers.get_all("X-A") == ["1", "2"]
    server.faults.add(Fault(Raw(headers={"Content-Length": "99"}, body=b"short"), times=1))
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    server.faults.add(Fault(Wire(b"SSH-2.0-nothing\r\n"), times=1))
    with pytest.raises(http.client.BadStatusLine):
        get(url)

    def escape(page: dict[str, Any]) -> None:
        page["files"][0]["filename"] = "../../etc/passwd"
        del page["meta"]["_last-serial"]

    server.faults.add(Fault(Edit(escape)))
    assert page_of(server, "demo")["files"][0]["filename"] == "../../etc/passwd"
    assert b">../../etc/passwd</a>" in get(url).body
    server.faults.clear()
    assert page_of(server, "demo")["files"][0]["filename"] == "demo-1.0-py3-none-any.whl"


def test_many_clients_at_once(index: Index, server: Server) -> None:
    for number in range(50):
        index.add_file(f"p{number}", f"p{number}-1.0.tar.gz")
    with ThreadPoolExecutor(16) as pool:
        urls = list(pool.map(lambda n: file_url(server, f"p{n}"), range(50)))
        sizes = list(pool.map(lambda url: len(get(url).body), urls))
    assert sizes == [1000] * 50
    assert len(server.requests) == 100
    assert sum(request.sent for request in server.requests_for("/packages/")) == 50_000


def test_a_mistake_in_a_test_is_not_mistaken_for_a_fault(index: Index) -> None:
    def mistake(page: dict[str, Any]) -> None:
        del page["no such key"]

    server = Server(index).__enter__()
    server.faults.add(Fault(Edit(mistake)))
    assert get(f"{server.url}/simple/demo/").status == 500
    with pytest.raises(KeyError, match="no such key"):
        server.__exit__(None, None, None)


# Personalities


def test_bandersnatch_pages_have_fewer_fields(server: Server, proxy: ServerProxy) -> None:
    server.index.yank("demo", "1.0", "broken")
    server.personality = BANDERSNATCH
    reply = get(f"{server.url}/simple/demo/", Accept=JSON)
    page = reply.json
    built, source = page["files"]
    assert page["meta"] == {"_last-serial": str(server.index.serial), "api-version": "1.1"}
    assert set(page) == {"meta", "name", "versions", "files"}
    assert {"ETag", "X-PyPI-Last-Serial", "Cache-Control"}.isdisjoint(reply.headers)
    assert (source["requires-python"], source["yanked"]) == ("", True)
    assert "provenance" not in built
    assert built["url"].startswith("../../packages/")
    assert get(urljoin(f"{server.url}/simple/demo/", built["url"])).status == 200
    root = get(f"{server.url}/simple/", Accept=JSON).json
    assert root["projects"] == [{"name": "Demo"}, {"name": "helper"}]
    assert get(f"{server.url}/simple/Demo/").status == 404
    assert [link["href"] for link in Links(get(f"{server.url}/simple/").body).links] == [
        "demo/",
        "helper/",
    ]
    with pytest.raises(ProtocolError, match="404"):
        proxy.changelog_last_serial()


def test_an_index_of_html_alone(server: Server) -> None:
    server.personality = HTML_ONLY
    reply = get(f"{server.url}/simple/demo/", Accept=JSON)
    assert reply.headers["Content-Type"] == "text/html"
    assert b"SERIAL" not in reply.body
    server.personality = replace(HTML_ONLY, refuses=True)
    assert get(f"{server.url}/simple/demo/", Accept=JSON).status == 406
    assert get(f"{server.url}/simple/demo/", Accept="text/html").status == 200


@pytest.mark.parametrize("relative", [True, False])
def test_devpi(server: Server, *, relative: bool) -> None:
    server.personality = replace(DEVPI, relative=relative)
    page = page_of(server, "demo")
    assert page["meta"] == {"api-version": "1.0"}
    assert set(page["files"][0]) == {"filename", "hashes", "requires-python", "url", "yanked"}
    link = Links(get(f"{server.url}/simple/demo/").body).links[0]["href"]
    assert link is not None
    assert link.startswith("../../packages/" if relative else f"{server.url}/packages/")
    url, _, digest = urljoin(f"{server.url}/simple/demo/", link).partition("#sha256=")
    assert hashlib.sha256(get(url).body).hexdigest() == digest

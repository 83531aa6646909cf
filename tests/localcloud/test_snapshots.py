"""Snapshots and rollback at the edge: keys of its cache, the function, its store, and tokens."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from frumious.access.edge_store import EdgeStoreError
from frumious.access.tokens import issue
from frumious.cli.main import main
from frumious.snapshots.edge_readers import EdgeReaders
from localcloud.distribution import DistributionServer
from localcloud.edge import EdgeError, EdgeFunction, choose_behavior
from localcloud.edge_cache import EdgeCache
from localcloud.environment import CHECKOUT
from localcloud.key_value_store import KeyValueStoreServer
from localcloud.metrics import Metrics
from localcloud.stack import KEY_VALUE_STORE_ARN
from localcloud.stack_reader import read_stack
from tests.clock import MovableClock

from .test_private import basic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from localcloud import LocalCloud
    from localcloud.stack import Distribution

SNAPSHOTS = {"Snapshots": "true"}
PRIVATE = {**SNAPSHOTS, "AccessTokens": "true"}
JSON = "application/vnd.pypi.simple.v1+json"
LIVE = "web/simple/six/index.v1_json"
OWN = "web/snapshot/before/simple/six/index.v1_json"
OFFERED = {"snapshot:before": "1"}


def distribution(**parameters: str) -> Distribution:
    template = CHECKOUT / "template.yaml"
    return read_stack(template, endpoint="http://aws.test", parameters=parameters).distribution


DISTRIBUTION = distribution(**SNAPSHOTS)


def call(
    path: str, store: Mapping[str, str] | None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what the function of a stack with snapshots makes of a request."""
    code = DISTRIBUTION.behaviors[-1].edge_code
    assert code is not None
    return EdgeFunction(code, store)("GET", path, {"Accept": JSON, **(headers or {})})


class Edge:
    """One edge location in front of the bucket, whose store the tests change."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.clock = MovableClock()
        self.cache = EdgeCache(self.clock.now)
        self.store = {**OFFERED}
        self._cloud = cloud
        self._server = DistributionServer(
            DISTRIBUTION, cloud.s3, Metrics(), self.store, cache=self.cache
        )

    def stop(self) -> None:
        self._server.stop()

    def write(self, key: str, body: bytes) -> None:
        self._cloud.s3.put_object(Bucket=self._cloud.bucket, Key=key, Body=body, ContentType=JSON)

    def remove(self, key: str) -> None:
        self._cloud.s3.delete_object(Bucket=self._cloud.bucket, Key=key)

    def get(self, path: str, **headers: str) -> bytes | int:
        """Return the body, or the status of an error."""
        connection = http.client.HTTPConnection(urlsplit(self._server.url).netloc, timeout=10)
        connection.request("GET", path, headers={"Accept": JSON, **headers})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return body if response.status == 200 else response.status


@pytest.fixture
def edge(started_cloud: LocalCloud) -> Iterator[Edge]:
    edge = Edge(started_cloud)
    edge.write(LIVE, b"live")
    edge.write(OWN, b"own")
    yield edge
    edge.stop()


def test_a_snapshots_page_and_the_live_one_never_mix_in_the_cache(edge: Edge) -> None:
    for _ in range(2):
        assert edge.get("/simple/six/") == b"live"
        assert edge.get("/snapshot/before/simple/six/") == b"own"
        assert edge.get("/snapshot/before/simple/six/index.v1_json") == b"own"
    assert edge.cache.origin_requests == 2


@pytest.mark.parametrize("name", ["before", "absent", ""])
def test_readers_cannot_choose_the_key_of_the_cache(edge: Edge, name: str) -> None:
    assert edge.get("/simple/six/", **{"X-Frumious-Snapshot": name}) == b"live"
    own = edge.get("/snapshot/before/simple/six/", **{"X-Frumious-Snapshot": name})
    assert own == b"own"
    assert edge.get("/snapshot/before/simple/six/") == b"own"
    assert edge.get("/simple/six/") == b"live"
    assert edge.cache.origin_requests == 2


def test_a_rollback_does_not_wait_for_the_cache(edge: Edge) -> None:
    assert edge.get("/simple/six/") == b"live"
    edge.store["served:live"] = "before"
    assert edge.get("/simple/six/") == b"own"
    assert edge.get("/simple/six/", **{"Accept-Encoding": "gzip"}) == b"own"
    del edge.store["served:live"]
    assert edge.get("/simple/six/") == b"live"


def test_without_an_own_page_a_snapshot_has_the_live_one_and_then_its_own(edge: Edge) -> None:
    edge.remove(OWN)
    assert edge.get("/snapshot/before/simple/six/") == b"live"
    edge.write(OWN, b"live")  # as a job does, before it replaces the page
    edge.write(LIVE, b"new")
    edge.clock.advance(30)
    assert edge.get("/snapshot/before/simple/six/") == b"live"
    assert edge.get("/simple/six/") == b"new"
    edge.remove(OWN)
    edge.remove(LIVE)
    edge.clock.advance(30)
    assert edge.get("/snapshot/before/simple/six/") == 404


def test_a_withdrawn_snapshot_is_answered_with_404_though_it_is_cached(edge: Edge) -> None:
    assert edge.get("/snapshot/before/simple/six/") == b"own"
    del edge.store["snapshot:before"]
    assert edge.get("/snapshot/before/simple/six/") == 404


@pytest.mark.parametrize("store", [None, {}])
def test_a_store_that_fails_leaves_the_live_index_and_no_snapshot(
    store: dict[str, str] | None,
) -> None:
    result = call("/simple/six/", store)
    assert result["uri"] == "/simple/six/index.v1_json"
    assert "originSettings" not in result
    assert call("/snapshot/before/simple/six/", store)["statusCode"] == 404


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/simple/", "/simple/index.v1_json"),
        ("/simple/six/", "/simple/six/index.v1_json"),
        ("/simple/six/index.html", "/simple/six/index.html"),
    ],
)
@pytest.mark.parametrize("prefix", ["/snapshot/before", ""])
def test_pages_of_a_snapshot_come_from_its_origin(path: str, uri: str, prefix: str) -> None:
    headers = {"Accept-Encoding": "gzip", "X-Frumious-Snapshot": "forged"}
    store = {**OFFERED, **({} if prefix else {"served:live": "before"})}
    result = call(prefix + path, store, headers)
    assert result["uri"] == uri
    assert result["originSettings"] == {"originPath": "/web/snapshot/before"}
    assert result["headers"]["x-frumious-snapshot"] == {"value": "before"}
    assert "originGroup" not in result


@pytest.mark.parametrize(
    "path", ["/packages/aa/bb/cc/six-1.0.tar.gz", "/integrity/six/1.0/six-1.0.tar.gz/provenance"]
)
def test_files_of_a_snapshot_are_those_of_the_mirror(path: str) -> None:
    result = call(f"/snapshot/before{path}", {**OFFERED, "served:live": "before"})
    assert result["uri"] == path
    assert not {"originSettings", "originGroup"} & result.keys()
    assert "x-frumious-snapshot" not in result["headers"]


WORDS = (
    "/ // /simple /snapshot /packages /integrity before absent Before six .. . %2e%2e %2f %00 web"
)
PIECES = st.sampled_from([*WORDS.split(), "index.html", "rollback", "\0", "\n", "a" * 64])


@settings(max_examples=500, deadline=None)
@given(pieces=st.lists(PIECES, max_size=8), store=st.sampled_from([OFFERED, {}, None]))
def test_whatever_the_path_only_pages_of_offered_snapshots_have_another_origin(
    pieces: list[str], store: dict[str, str] | None
) -> None:
    path = "/" + "".join(pieces).lstrip("/")
    code = DISTRIBUTION.behaviors[-1].edge_code
    assert code is not None
    result = EdgeFunction(code, store)("GET", path, {"Accept": JSON})
    if "statusCode" in result:
        return
    assert not re.search(r"/(\.|%2e){1,2}(/|\Z)", result["uri"])
    if "originSettings" in result:
        assert path.startswith("/snapshot/before/simple/")
        assert result["originSettings"] == {"originPath": "/web/snapshot/before"}
        assert result["uri"].startswith("/simple/")
    assert ("originSettings" in result) == ("x-frumious-snapshot" in result["headers"])
    if path.startswith("/snapshot/"):
        assert store == OFFERED
        assert result["uri"].startswith(("/simple/", "/packages/", "/integrity/"))


def test_what_has_a_snapshot_is_not_compressed_and_all_else_is() -> None:
    gzip = {"Accept-Encoding": "gzip"}
    assert "originGroup" in call("/simple/six/", OFFERED, gzip)
    assert "originGroup" not in call("/snapshot/before/simple/six/", OFFERED, gzip)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/simple/packages/", "/simple/*"),
        ("/snapshot/before/simple/packages/", "/snapshot/*/simple/*"),
        ("/snapshot/simple/simple/six/", "/snapshot/*/simple/*"),
        ("/snapshot/before/packages/aa/bb/cc/simple-1.0.tar.gz", "/snapshot/*/packages/*"),
        ("/snapshot/simple/packages/aa/bb/cc/six-1.0.tar.gz", "/snapshot/*/packages/*"),
        ("/packages/aa/bb/cc/six-1.0.tar.gz", "/packages/*"),
        ("/snapshot/before/integrity/six/1.0/six-1.0.tar.gz/provenance", "*"),
        ("/simple", "*"),
        ("/snapshot/before/simple", "*"),
    ],
)
def test_each_path_has_the_behavior_of_its_kind(path: str, pattern: str) -> None:
    assert choose_behavior(DISTRIBUTION.behaviors, path).pattern == pattern


def test_snapshots_are_as_private_as_the_mirror() -> None:
    behaviors = distribution(**PRIVATE, AllowedIps="192.0.2.0/24").behaviors
    secret, record = issue("ci", 0)
    store = {"ci": record.to_json(), **OFFERED}
    for behavior in behaviors:
        assert behavior.edge_code is not None
        function = EdgeFunction(behavior.edge_code, store)
        for path in ("/snapshot/before/simple/six/", "/snapshot/before/packages/aa/bb/cc/six.whl"):
            headers = {"Authorization": basic("x", secret)}
            assert function("GET", path, headers, "198.51.100.1")["statusCode"] == 403
            assert function("GET", path, {}, "192.0.2.1")["statusCode"] == 401
            assert "uri" in function("GET", path, headers, "192.0.2.1")
        control = behavior.added_headers["Cache-Control"]
        assert control.startswith("private, max-age="), behavior.pattern


def test_a_stack_without_snapshots_has_nothing_of_them() -> None:
    stack = distribution()
    assert [behavior.pattern for behavior in stack.behaviors] == ["/packages/*", "*"]
    assert {*stack.origin_paths} == {"mirror", "compressed"}
    for behavior in stack.behaviors:
        assert behavior.cache_policy.headers == ()
        assert behavior.target.failover == frozenset()
        assert "served:live" not in (behavior.edge_code or "")


def test_tokens_and_snapshots_share_the_store_and_not_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = KeyValueStoreServer()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    readers = EdgeReaders(KEY_VALUE_STORE_ARN)
    run = CliRunner().invoke
    try:
        assert run(main, ["token", "add", "before"]).exit_code == 0
        asyncio.run(readers.offer("before"))
        asyncio.run(readers.point("later"))
        listed = json.loads(run(main, ["token", "list", "--json"]).stdout)
        assert [row["name"] for row in listed] == ["before"]
        refused = run(main, ["token", "revoke", "snapshot:before"])
        assert (refused.exit_code, "there is no token" in refused.stderr) == (1, True)
        token = server.values.pop("before")
        assert json.loads(token)["sha256"]
        kept = {"snapshot:before": "1", "snapshot:later": "1", "served:live": "later"}
        assert server.values == kept
        for _ in range(2):  # what was done already is no error
            asyncio.run(readers.withdraw("before"))
            asyncio.run(readers.point(None))
        assert server.values == {"snapshot:later": "1"}
    finally:
        server.stop()


def test_what_is_no_store_is_named_with_the_output_that_has_it() -> None:
    with pytest.raises(EdgeStoreError, match=r"'arn:aws:s3:::b' is not a .* output SnapshotStore"):
        EdgeReaders("arn:aws:s3:::b")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("headers['host'] = { value: 'x' }", "'host', which is read-only"),
        ("headers['via'] = { value: 'x' }", "'via', which is read-only"),
        ("headers['x-real-ip'] = { value: 'x' }", "'x-real-ip', which is disallowed"),
        ("headers['X-Mine'] = { value: 'x' }", "'X-Mine', which is not in lower case"),
        ("headers['x-mine'] = { value: 'x' }", None),
        ("headers['accept-encoding'] = { value: 'x' }", None),
    ],
)
def test_the_local_edge_knows_which_headers_a_function_cannot_change(
    change: str, problem: str | None
) -> None:
    code = "function handler(event) { event.request.%s; return event.request; }"
    function = EdgeFunction(code % change)
    if problem is None:
        assert function("GET", "/", {"Host": "mirror.test"})["uri"] == "/"
    else:
        with pytest.raises(EdgeError, match=problem) as failed:
            function("GET", "/", {"Host": "mirror.test"})
        assert failed.value.status == 502

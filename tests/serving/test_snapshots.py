"""Snapshots and rollback behind each server: a snapshot's own pages, else the live ones."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from frumious.model.headers import headers_of
from frumious.model.snapshots import ROLLBACK
from frumious.model.types import Key
from frumious.snapshots.edge_readers import EdgeReaders
from localcloud import LocalCloud
from localcloud.stack import KEY_VALUE_STORE_ARN
from tests.clients import HTML, JSON, TEXT, found_by_pip, get
from tests.installers import PIP, UV, install
from tests.localcloud.conftest import ignore_line, make_checkout
from tests.serving.command import Served, serve
from tests.serving.nginx import Nginx
from tests.serving.site import Site
from tests.serving.snapshot_folder import CHANGED, write_with_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

TYPES = {TEXT: "text/html; charset=utf-8", HTML: HTML, JSON: JSON}


@dataclass(frozen=True)
class Mirror:
    """A served mirror, whose snapshot `v1.0--before` shows it as it was."""

    site: Site
    point: Callable[[str | None], None]  # readers to a snapshot as the live index

    def versions(self, path: str) -> list[str]:
        """Return the versions of the files that a JSON page names."""
        response = self.site.request(path, JSON)
        assert response.status == 200, (path, response)
        return [file["filename"].split("-")[1] for file in json.loads(response.body)["files"]]

    def names(self, path: str) -> list[str]:
        """Return the projects that a JSON root index names."""
        listed = json.loads(self.site.request(path, JSON).body)["projects"]
        return [project["name"] for project in listed]


@contextmanager
def folder_server(
    start: Callable[..., AbstractContextManager[Served | Nginx]], base: Path, *, hash_index: bool
) -> Iterator[Mirror]:
    keys = write_with_snapshot(base / "mirror", hash_index=hash_index)
    link = base / "mirror" / ROLLBACK

    def point(target: str | None) -> None:
        link.unlink(missing_ok=True)
        if target is not None:
            link.symlink_to(f"snapshot/{target}")

    (base / "server").mkdir()
    with start(base / "mirror", base / "server", hash_index=hash_index) as server:
        yield Mirror(Site(server.url, start is Nginx, keys), point)


@contextmanager
def edge(base: Path) -> Iterator[Mirror]:
    """Serve a bucket as the stack's distribution does."""
    keys = write_with_snapshot(base / "mirror", hash_index=False)
    checkout = make_checkout(base / "checkout")
    with (
        LocalCloud(checkout, parameters={"Snapshots": "true"}, on_line=ignore_line) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        for path in (base / "mirror/web").rglob("*"):
            if path.is_file():
                key = Key(str(path.relative_to(base / "mirror")))
                kind = headers_of(key).content_type
                caching = headers_of(key).cache_control or ""
                cloud.s3.put_object(
                    Bucket=cloud.bucket,
                    Key=key,
                    Body=path.read_bytes(),
                    ContentType=kind,
                    CacheControl=caching,
                )
        for name, value in cloud.key_value_store.environment.items():
            environment.setenv(name, value)
        readers = EdgeReaders(KEY_VALUE_STORE_ARN)
        environment.delenv("HTTP_PROXY")  # the readers have it; installers must not
        asyncio.run(readers.offer("v1.0--before"))
        site = Site(cloud.url, is_nginx=False, keys=keys, is_edge=True)
        yield Mirror(site, lambda target: asyncio.run(readers.point(target)))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            partial(folder_server, Nginx, hash_index=False), marks=pytest.mark.servers, id="nginx"
        ),
        pytest.param(
            partial(folder_server, Nginx, hash_index=True),
            marks=pytest.mark.servers,
            id="nginx-hash-index",
        ),
        pytest.param(partial(folder_server, serve, hash_index=False), id="command"),
        pytest.param(partial(folder_server, serve, hash_index=True), id="command-hash-index"),
        pytest.param(edge, id="edge"),
    ],
)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mirror]:
    with request.param(tmp_path_factory.mktemp("site")) as mirror:
        yield mirror


@pytest.fixture
def mirror(served: Mirror) -> Iterator[Mirror]:
    yield served
    served.point(None)


def check_before(mirror: Mirror, prefix: str) -> None:
    """Check that an index is the one before the change."""
    assert mirror.names(f"{prefix}/simple/") == ["changed", "gone", "same"]
    assert mirror.versions(f"{prefix}/simple/changed/") == ["1.0"]
    assert mirror.versions(f"{prefix}/simple/changed/index.v1_json") == ["1.0"]
    assert mirror.versions(f"{prefix}/simple/gone/") == ["1.0"]
    assert mirror.versions(f"{prefix}/simple/same/") == ["1.0"]
    assert mirror.versions(f"{prefix}/simple/new/") == []


def check_live(mirror: Mirror) -> None:
    """Check that the live index is the one after the change."""
    assert mirror.names("/simple/") == ["changed", "new", "same"]
    assert mirror.versions("/simple/changed/") == ["1.0", "2.0"]
    assert mirror.versions("/simple/new/") == ["1.0"]
    assert mirror.site.request("/simple/gone/", JSON).status == 404


def test_a_snapshot_has_its_own_pages_and_else_the_live_ones(mirror: Mirror) -> None:
    check_before(mirror, "/snapshot/v1.0--before")
    check_live(mirror)


def test_after_a_rollback_readers_get_the_snapshot_and_then_the_live_index_again(
    mirror: Mirror,
) -> None:
    mirror.point("v1.0--before")
    check_before(mirror, "")
    check_before(mirror, "/snapshot/v1.0--before")
    mirror.point(None)
    check_live(mirror)


@pytest.mark.parametrize("prefix", ["/snapshot/v1.0--before", ""])
@pytest.mark.parametrize("path", ["/simple/", "/simple/changed/", "/simple/same/"])
@pytest.mark.parametrize("accept", [TEXT, HTML, JSON])
def test_pages_of_snapshots_are_negotiated_as_live_ones(
    mirror: Mirror, prefix: str, path: str, accept: str
) -> None:
    mirror.point("v1.0--before")
    response = mirror.site.request(prefix + path, accept)
    assert response.status == 200
    assert response.headers["Content-Type"] == TYPES[accept]
    assert response.headers["Cache-Control"] == mirror.site.page_caching
    assert {*response.headers["Vary"].split(", ")} == {"Accept-Encoding", "Accept"}


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
@pytest.mark.parametrize("prefix", ["/snapshot/v1.0--before", ""])
def test_installers_install_the_release_of_that_time(
    mirror: Mirror, installer: tuple[str, ...], prefix: str, tmp_path: Path
) -> None:
    mirror.point("v1.0--before")
    done = install(installer, f"{mirror.site.url}{prefix}", tmp_path, "changed", "gone", "same")
    assert done.returncode == 0, done.stderr
    for name in ("changed", "gone", "same"):
        assert (tmp_path / name / "__init__.py").read_text() == '__version__ = "1.0"\n'
    refused = install(installer, f"{mirror.site.url}{prefix}", tmp_path / "new", "new")
    assert refused.returncode != 0


def test_links_of_a_snapshot_lead_to_files_and_their_metadata(mirror: Mirror) -> None:
    (candidate,) = found_by_pip(f"{mirror.site.url}/snapshot/v1.0--before", "changed").values()
    assert "/snapshot/v1.0--before/packages/" in candidate.url
    response = get(candidate.url)
    assert (response.status, response.body) == (200, CHANGED.content)
    assert get(candidate.url + ".metadata").body == CHANGED.core_metadata
    path = candidate.url.removeprefix(mirror.site.url)
    assert mirror.site.request(path).headers["Cache-Control"] == mirror.site.file_caching
    provenance = "/integrity/needy/1.0/needy-1.0-py3-none-any.whl/provenance"
    proof = mirror.site.request(f"/snapshot/v1.0--before{provenance}")
    assert (proof.status, proof.body) == (200, b"{}")
    assert proof.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    assert proof.headers["Cache-Control"] == mirror.site.page_caching


@pytest.mark.parametrize(
    "path", ["/simple", "/simple/changed", "/simple/Changed", "/simple/CHANGED/"]
)
def test_redirects_stay_in_the_snapshot(mirror: Mirror, path: str) -> None:
    response = mirror.site.request(f"/snapshot/v1.0--before{path}")
    assert response.status == 301
    assert response.headers["Location"].startswith("/snapshot/v1.0--before/simple/")
    assert get(f"{mirror.site.url}/snapshot/v1.0--before{path}", JSON).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/snapshot",
        "/snapshot/",
        "/snapshot/v1.0--before/simple/absent/",
        "/snapshot/v1.0--before/simple/same/other.html",
        "/snapshot/v1.0--before/status.json",
        "/snapshot/v1.0--before/packages/",
        "/snapshot/v1.0--before/integrity/",
        "/snapshot/v1.0--before/web/status.json",
        # Names of no snapshot must not get the live index.
        "/snapshot/absent/simple/",
        "/snapshot/absent/simple/same/",
        "/snapshot/absent/simple/same/index.v1_json",
        "/snapshot/Before/simple/same/",
        "/snapshot/v1.0--before./simple/same/",
        "/snapshot/-/simple/same/",
        "/snapshot//simple/same/",
        "/snapshot/./simple/same/",
        "/snapshot/%2e/simple/same/",
        "/snapshot/a%2fb/simple/same/",
        "/snapshot/v1.0--before%00/simple/same/",
        "/snapshot/v1.0--before%0a/simple/same/",
        "/snapshot/v1.0--before%5c/simple/same/",
        "/snapshot/" + "a" * 64 + "/simple/same/",
        "/snapshot/v1.0--before/simple/%2e%2e/%2e%2e/%2e%2e/status",
        "/snapshot/v1.0--before/../../../status",
        "/snapshot/v1.0--before/packages/..%2f..%2f..%2fstate/cursor.json",
        "/snapshot/v1.0--before/packages/.frumious-0123456789abcdef.tmp",
        "/rollback",
        "/rollback/simple/changed/index.v1_json",
        "/rollback/simple/index.html",
    ],
)
def test_other_paths_below_a_snapshot_are_not_served(mirror: Mirror, path: str) -> None:
    mirror.point("v1.0--before")
    response = mirror.site.request(path, JSON)
    assert response.status in ({400, 404} if "%" in path or "." in path else {404}), response
    assert not {b"files", b"projects"} & {*re.findall(rb"\w+", response.body)}


@pytest.mark.parametrize("target", ["gone", "../../state", "../nowhere", "v1.0--before/.."])
def test_a_rollback_to_no_snapshot_leaves_the_live_index(mirror: Mirror, target: str) -> None:
    if mirror.site.is_edge:
        pytest.skip("The edge gets names from the command alone.")
    mirror.point(target)
    check_live(mirror)

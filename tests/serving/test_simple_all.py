"""The index without the cooldown behind each server, read by pip and uv."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from frumious.model.headers import headers_of
from localcloud import LocalCloud
from tests.clients import HTML, JSON, TEXT
from tests.frumious.auditing.mirrors import DAY, AuditedMirror
from tests.installers import PIP, UV, install
from tests.localcloud.conftest import ignore_line, make_checkout
from tests.serving.command import Served, serve
from tests.serving.nginx import Nginx
from tests.serving.site import Site
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.upstream import Server

OLD, NEW = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"
COOLDOWN = "[cooldown]\ndays = 7\nsimple-all = true"


@dataclass(frozen=True)
class Mirror:
    """A served mirror, and how it is brought in step."""

    site: Site
    mirror: AuditedMirror
    publish: Callable[[], None] = lambda: None  # what the folder has now

    def files(self, path: str) -> dict[str, str]:
        """Return the files that a JSON page names, and the paths of their URLs."""
        response = self.site.request(path, JSON)
        assert response.status == 200, (path, response)
        files = json.loads(response.body)["files"]
        return {each["filename"]: urljoin(path, each["url"]) for each in files}

    def status(self, path: str, accept: str = JSON) -> int:
        return self.site.request(path, accept).status


def fill(mirror: AuditedMirror) -> None:
    """Mirror a project with a release that waits, others called as a folder, and an old one."""
    now = datetime.fromtimestamp(mirror.clock.now(), UTC)
    for name in ("demo", "packages"):
        mirror.index.upload(wheel(name, "1.0"), upload_time=now - timedelta(days=30))
        mirror.index.upload(wheel(name, "2.0"), upload_time=now)
    mirror.index.upload(wheel("old-one", "1.0"), upload_time=now - timedelta(days=30))
    mirror.sync()


@contextmanager
def folder(
    start: Callable[..., AbstractContextManager[Served | Nginx]],
    upstream: Server,
    base: Path,
    *,
    hash_index: bool = False,
    simple_all: bool = True,
) -> Iterator[Mirror]:
    storage = f"directory = {base / 'mirror'}\nhash-index = {hash_index}"
    (base / "server").mkdir()
    with AuditedMirror(upstream, storage, COOLDOWN) as mirror:
        fill(mirror)
        options = {"hash_index": hash_index, "simple_all": simple_all}
        with start(base / "mirror", base / "server", **options) as server:
            yield Mirror(Site(server.url, start is Nginx, {}), mirror)


@contextmanager
def edge(upstream: Server, base: Path, *, addresses: str = "127.0.0.0/8") -> Iterator[Mirror]:
    """Serve a bucket as the stack's distribution does."""
    checkout = make_checkout(base / "checkout")
    parameters = {"SimpleAllIps": addresses}
    with (
        AuditedMirror(upstream, f"directory = {base / 'mirror'}", COOLDOWN) as mirror,
        LocalCloud(checkout, parameters=parameters, on_line=ignore_line) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.delenv("HTTP_PROXY", raising=False)

        def publish() -> None:
            for entry in cloud.s3.list_objects_v2(Bucket=cloud.bucket).get("Contents", ()):
                cloud.s3.delete_object(Bucket=cloud.bucket, Key=entry["Key"])
            for key in mirror.keys("web/"):
                headers = headers_of(key)
                cloud.s3.put_object(
                    Bucket=cloud.bucket,
                    Key=key,
                    Body=mirror.read(key),
                    ContentType=headers.content_type,
                    CacheControl=headers.cache_control or "",
                )

        fill(mirror)
        publish()
        yield Mirror(Site(cloud.url, is_nginx=False, keys={}, is_edge=True), mirror, publish)


@pytest.fixture(
    params=[
        pytest.param(partial(folder, Nginx), marks=pytest.mark.servers, id="nginx"),
        pytest.param(
            partial(folder, Nginx, hash_index=True),
            marks=pytest.mark.servers,
            id="nginx-hash-index",
        ),
        pytest.param(partial(folder, serve), id="command"),
        pytest.param(partial(folder, serve, hash_index=True), id="command-hash-index"),
        pytest.param(edge, id="edge"),
    ]
)
def served(request: pytest.FixtureRequest, upstream: Server, tmp_path: Path) -> Iterator[Mirror]:
    with request.param(upstream, tmp_path / "site") as mirror:
        yield mirror


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    return tmp_path


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_what_waits_is_installed_from_there_alone(
    served: Mirror, installer: tuple[str, ...], tmp_path: Path
) -> None:
    url = served.site.url
    early = install(installer, url, tmp_path / "early", "demo==2.0", index="simple-all")
    assert early.returncode == 0, early.stderr
    assert install(installer, url, tmp_path / "no", "demo==2.0").returncode != 0
    both = install(installer, url, tmp_path / "old", "old-one", "packages", index="simple-all")
    assert both.returncode == 0, both.stderr

    files = served.files("/simple-all/demo/")
    assert [*served.files("/simple/demo/")] == [OLD]
    assert files[OLD].startswith("/packages/")
    assert files[NEW].startswith("/simple-all/packages/")
    live = files[NEW].removeprefix("/simple-all")
    assert [served.status(path) for path in (files[NEW], files[OLD], live)] == [200, 200, 404]
    assert served.status(f"{live}.metadata") == 404

    served.mirror.clock.advance(8 * DAY)
    served.mirror.sync()
    served.publish()
    assert served.files("/simple/demo/") == served.files("/simple-all/demo/")
    assert [served.status(path) for path in (files[NEW], live)] == [404, 200]
    ripe = install(installer, url, tmp_path / "ripe", "demo==2.0")
    assert ripe.returncode == 0, ripe.stderr


def test_it_has_the_urls_and_forms_of_the_live_index(served: Mirror) -> None:
    site = served.site
    assert site.request("/simple-all/", JSON).body == site.request("/simple/", JSON).body
    for accept in (JSON, HTML, TEXT):
        for project in ("demo", "packages", "old-one"):
            response = site.request(f"/simple-all/{project}/", accept)
            assert response.status == 200
            assert response.headers["Content-Type"].startswith(accept)
            assert (b"2.0" in response.body) == (project != "old-one")
    assert served.status("/simple-all/unknown/") == 404
    assert served.status("/simple-all/packages/index.v1_json") == 200
    for path, target in {
        "/simple-all": "/simple-all/",
        "/simple-all/demo": "/simple-all/demo/",
        "/simple-all/old_one/": "/simple-all/old-one/",
    }.items():
        response = site.request(path)
        assert response.status == 301
        assert response.headers["Location"] == target
    key = served.files("/simple-all/demo/")[NEW]
    response = site.request(key)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(
            partial(folder, Nginx, simple_all=False), marks=pytest.mark.servers, id="nginx"
        ),
        pytest.param(partial(folder, serve, simple_all=False), id="command"),
        pytest.param(partial(edge, addresses=""), id="edge"),
        pytest.param(partial(edge, addresses="192.0.2.0/24"), id="edge-for-others"),
    ],
)
def test_nobody_gets_it_who_was_not_let_in(
    start: Callable[..., AbstractContextManager[Mirror]], upstream: Server, tmp_path: Path
) -> None:
    with start(upstream, tmp_path / "site") as mirror:
        keys = mirror.mirror.keys("web/simple-all/")
        paths = [key.removeprefix("web") for key in keys]
        assert [path for path in paths if path.endswith(NEW)]
        pages = ["/simple-all", "/simple-all/", "/simple-all/demo/", "/simple-all/demo"]
        paths += [
            *pages,
            "//simple-all/demo/",
            "/%73imple-all/demo/",
            "/simple/../simple-all/demo/",
        ]
        assert {path: mirror.status(path) for path in paths} == dict.fromkeys(paths, 404)
        assert mirror.status("/simple/demo/") == 200

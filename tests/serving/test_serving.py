"""nginx with the documented configuration, and `frumious serve`, for pip, uv and other clients."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.clients import HTML, JSON, TEXT, found_by_pip, get
from tests.installers import PIP, UV, install
from tests.root_shards import found_in_shards
from tests.serving.command import serve
from tests.serving.folder import write_mirror
from tests.serving.nginx import Nginx
from tests.serving.site import Site
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISTS = [
    wheel("needy", "1.0", requires=["elsewhere"]),
    wheel("elsewhere", "2.0"),
    wheel("Py.YAML_x", "3.0"),
    sdist("Py.YAML_x", "3.0"),
    wheel("no-variant", "1.0"),
    wheel("cooling", "1.0"),
    wheel("cooling", "3.0"),
]
ACCEPT = f"{JSON}, {HTML}; q=0.1, {TEXT}; q=0.01"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((True, False), marks=pytest.mark.servers, id="nginx"),
        pytest.param((True, True), marks=pytest.mark.servers, id="nginx-hash-index"),
        pytest.param((False, False), id="command"),
        pytest.param((False, True), id="command-hash-index"),
    ],
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("mirror")
    is_nginx, hash_index = request.param
    keys = write_mirror(folder, DISTS, hash_index=hash_index)
    # It must never be served.
    (folder / "web/packages/.frumious-0123456789abcdef.tmp").write_text("half")
    # A file whose name is another file's with `.gz`, and a page without a variant.
    (folder / "web/packages/odd.tar").write_text("tar")
    (folder / "web/packages/odd.tar.gz").write_text("tar.gz")
    for variant in folder.glob("web/simple/**/no-variant/*.gz"):
        variant.unlink()
    server = Nginx if is_nginx else serve
    with server(folder, tmp_path_factory.mktemp("server"), hash_index=hash_index) as started:
        yield Site(started.url, is_nginx, keys)


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_install_a_project_and_its_dependencies(
    site: Site, tmp_path: Path, installer: tuple[str, ...]
) -> None:
    done = install(installer, site.url, tmp_path, "needy", "Py_yaml-X")
    assert done.returncode == 0, done.stderr
    for module in ("needy", "elsewhere", "py_yaml_x"):
        assert (tmp_path / module / "__init__.py").exists()


@pytest.mark.parametrize(
    ("installer", "cooldown"),
    [(PIP, "--uploaded-prior-to=2026-02-01T00:00:00Z"), (UV, "--exclude-newer=2026-02-01")],
    ids=["pip", "uv"],
)
def test_cooldowns_take_the_newest_release_before_them(
    site: Site, tmp_path: Path, installer: tuple[str, ...], cooldown: str
) -> None:
    done = install(installer, site.url, tmp_path, cooldown, "cooling")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cooling" / "__init__.py").read_text() == '__version__ = "1.0"\n'


def test_pip_finds_files_and_metadata_where_the_page_says(site: Site) -> None:
    found = found_by_pip(site.url, "Py.YAML.x")
    assert sorted(found) == sorted(dist.filename for dist in DISTS[2:4])
    for candidate in found.values():
        assert get(candidate.url).status == 200
    of_wheel = found[DISTS[2].filename]
    assert of_wheel.metadata
    assert get(of_wheel.url + ".metadata").body == DISTS[2].core_metadata


@pytest.mark.parametrize("path", ["/simple/", "/simple/needy/"])
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        (HTML, HTML),
        (JSON, JSON),
        (JSON.upper(), JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        (ACCEPT, JSON),
        (f"{JSON}, */*;q=0.1", JSON),
    ],
)
def test_content_negotiation_selects_the_page_format(
    site: Site, path: str, accept: str | None, kind: str
) -> None:
    response = site.request(path, accept)
    assert response.status == 200
    assert response.headers["Content-Type"] == kind
    assert response.headers["Cache-Control"] == site.page_caching
    assert response.headers["Vary"] == "Accept-Encoding, Accept"
    assert "Content-Encoding" not in response.headers
    assert (kind == JSON) == response.body.startswith(b"{")
    assert site.request(path, accept, "HEAD").headers["Content-Length"] == str(len(response.body))
    assert site.request(path, accept, "HEAD").body == b""


def test_only_the_command_knows_quality_values(site: Site) -> None:
    response = site.request("/simple/needy/", f"{TEXT}, {JSON};q=0")
    expected = JSON if site.is_nginx else "text/html; charset=utf-8"
    assert response.headers["Content-Type"] == expected
    only_others = site.request("/simple/needy/", "image/png")
    assert only_others.status == (200 if site.is_nginx else 406)


@pytest.mark.parametrize("path", ["/simple/", "/simple/needy/"])
@pytest.mark.parametrize(
    ("form", "kind"),
    [("index.html", "text/html; charset=utf-8"), ("index.v1_html", HTML), ("index.v1_json", JSON)],
)
def test_each_page_format_has_its_own_url(site: Site, path: str, form: str, kind: str) -> None:
    response = site.request(path + form)
    assert (response.status, response.headers["Content-Type"]) == (200, kind)
    assert response.headers["Cache-Control"] == site.page_caching
    assert response.headers["Vary"] == "Accept-Encoding"


def test_an_unchanged_page_is_answered_with_304(site: Site) -> None:
    first = site.request("/simple/needy/", JSON)
    repeated = site.request("/simple/needy/", JSON, **{"If-None-Match": first.headers["ETag"]})
    assert (repeated.status, repeated.body) == (304, b"")
    assert (
        site.request("/simple/needy/", TEXT, **{"If-None-Match": first.headers["ETag"]}).status
        == 200
    )


@pytest.mark.parametrize("path", ["/simple/", "/simple/needy/", "/simple/no-variant/"])
@pytest.mark.parametrize("accept", [JSON, HTML, TEXT])
def test_pages_are_compressed_for_clients_that_accept_gzip(
    site: Site, path: str, accept: str
) -> None:
    plain = site.request(path, accept, **{"Accept-Encoding": "gzip;q=0"})
    response = site.request(path, accept, **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    # The command sends the stored variants, and compresses nothing itself.
    if site.is_nginx or path == "/simple/" or (path == "/simple/needy/" and accept == JSON):
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(response.body) == plain.body
    else:
        assert response.body == plain.body
    for name in ("Content-Type", "Cache-Control", "Vary"):
        assert response.headers[name] == plain.headers[name]


@pytest.mark.parametrize("path", ["/simple/", "/simple/needy/"])
def test_stored_variants_are_sent_as_they_are(site: Site, path: str) -> None:
    response = site.request(path, JSON, **{"Accept-Encoding": "gzip"})
    assert response.headers["Content-Length"] == str(len(response.body))
    head = site.request(path, JSON, "HEAD", **{"Accept-Encoding": "gzip"})
    assert head.headers["Content-Length"] == str(len(response.body))
    conditional = {"Accept-Encoding": "gzip", "If-None-Match": response.headers["ETag"]}
    again = site.request(path, JSON, **conditional)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_files_are_served_uncompressed_and_cacheable(site: Site, method: str) -> None:
    for dist in DISTS:
        response = site.request(
            site.path(dist.filename), None, method, **{"Accept-Encoding": "gzip"}
        )
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Cache-Control"] == site.file_caching
        assert response.headers["Content-Length"] == str(len(dist.content))
        assert "Content-Encoding" not in response.headers
        assert response.body == (dist.content if method == "GET" else b"")
    response = site.request(site.path(DISTS[0].filename) + ".metadata")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.body == DISTS[0].core_metadata


def test_no_file_is_served_as_the_compressed_variant_of_another(site: Site) -> None:
    assert site.request("/packages/odd.tar", **{"Accept-Encoding": "gzip"}).body == b"tar"


def test_range_requests_return_part_of_a_file(site: Site) -> None:
    response = site.request(site.path(DISTS[0].filename), Range="bytes=2-5")
    assert (response.status, response.body) == (206, DISTS[0].content[2:6])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (
            "/integrity/needy/1.0/needy-1.0-py3-none-any.whl/provenance",
            "application/vnd.pypi.integrity.v1+json",
        ),
        ("/pypi/needy/json", "application/json"),
        ("/simple-shards/head.json", "application/json"),
        ("/simple-shards/0.json", "application/json"),
        ("/status.json", "application/json"),
        ("/last-modified", "text/plain; charset=utf-8"),
    ],
)
def test_other_paths_have_the_right_content_type(site: Site, path: str, kind: str) -> None:
    response = site.request(path)
    assert (response.status, response.headers["Content-Type"]) == (200, kind)
    assert response.headers["Cache-Control"] == site.page_caching


@pytest.mark.parametrize("project", ["needy", "py-yaml-x"])
def test_the_program_of_the_page_finds_a_project_in_the_shards(site: Site, project: str) -> None:
    assert [each["_last-serial"] for each in found_in_shards(site.url, project)] == [7]
    assert found_in_shards(site.url, "absent") == []


@pytest.mark.parametrize(
    "path", ["/simple", "/simple/needy", "/simple/Needy", "/simple/NEEDY/", "/simple/py.yaml_x/"]
)
def test_names_that_are_not_normalised_are_redirected_permanently(site: Site, path: str) -> None:
    response = site.request(path)
    assert response.status == 301
    assert response.headers["Location"].startswith("/simple/")


@pytest.mark.parametrize(
    "name",
    [
        "needy",
        "%6eeedy",
        "Py%2eYAML%5Fx",
        "Py.YAML_x",
        "PY--yaml...X",
        "py_-._yaml-x",
        "pY.yAmL.X/",
        "py-yaml-x",
    ],
)
def test_redirects_lead_to_the_page(site: Site, name: str) -> None:
    response = get(f"{site.url}/simple/{name}", JSON)
    assert response.status == 200
    assert json.loads(response.body)["name"] in {"needy", "Py.YAML_x"}
    assert response.url.rpartition("/simple/")[2] in {"needy/", "py-yaml-x/"}


@pytest.mark.parametrize("name", ["Needy", "NEEDY", "needy_X..y", "Needy-X_Y"])
@pytest.mark.parametrize("rest", ["json", "1.0/json", "1.0RC1/json", "1%211.0/json"])
def test_the_legacy_json_is_found_by_other_spellings_of_a_name(
    site: Site, name: str, rest: str
) -> None:
    path = f"/pypi/{name}/{rest}"
    while (response := site.request(path)).status == 301:  # nginx corrects letter after letter
        path = response.headers["Location"]
    project = "needy" if len(name) == 5 else "needy-x-y"
    assert unquote(path) == f"/pypi/{project}/{unquote(rest)}"
    assert response.status == (200 if path == "/pypi/needy/json" else 404)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/simple/absent/",
        "/pypi/needy/2.0/json",
        "/pypi/-needy/json",
        "/pypi/needy_/json",
        "/pypi/Needy",
        "/pypi/",
        "/simple/absent/index.v1_json",
        "/simple/needy/other.html",
        "/simple/-needy-/",
        "/simple/needy-/",
        "/simple/.needy/",
        "/simple/needy%0d%0aX-Injected:1/",
        "/simple/n/",
        "/packages/",
        "/packages/aa/bb/cc/absent-1.0.tar.gz",
        "/packages/.frumious-0123456789abcdef.tmp",
        "/packages/%2efrumious-0123456789abcdef.tmp",
        "/status",
        "/generation",
        "/state/cursor.json",
        "/simple/../../status",
        "/%2e%2e/status",
        "/packages/..%2f..%2fstate/cursor.json",
        "/.lock",
        "/web/status.json",
    ],
)
def test_private_paths_are_not_served(site: Site, path: str) -> None:
    response = site.request(path, ACCEPT)
    assert response.status in ({400, 404} if ".." in path or "%2e" in path else {404})
    assert "X-Injected" not in response.headers
    assert "immutable" not in response.headers.get("Cache-Control", "")


def test_write_methods_are_refused(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert site.request("/simple/needy/", None, method).status == 405

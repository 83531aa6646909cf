"""Check that a mirror's pages agree with upstream's, and that the files that they name exist."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

from tests.clients import HTML, JSON, TEXT, Response, get, read_by_pip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.clients import Candidate
    from tests.world import World

FORMS = {"index.v1_json": JSON, "index.v1_html": HTML, "index.html": f"{TEXT}; charset=utf-8"}


def pages_of(world: World, project: str) -> Sequence[Response]:
    """Return the mirror's page in its three formats, as a web server of the bucket serves it.

    The last one is the compressed variant of the JSON page.
    """
    url = f"http://mirror.example/simple/{project}/"
    pages = [
        Response(200, kind, url, world.read(f"web/simple/{project}/{form}"))
        for form, kind in FORMS.items()
    ]
    variant = gzip.decompress(world.read(f"web/gzip/simple/{project}/index.v1_json"))
    return [*pages, Response(200, JSON, url, variant)]


def assert_agreement(world: World, project: str) -> None:
    """Check that the mirror's pages of a project equal upstream's, and that its files exist."""
    response = get(f"{world.upstream.url}/simple/{project}/", JSON)
    expected = with_mirror_urls(json.loads(response.body))
    page = world.page(project)
    del page["meta"]["_frumious"]
    assert page == expected

    upstream = [each.without_host for each in read_by_pip(response)]
    for served in pages_of(world, project):
        assert [each.without_host for each in read_by_pip(served)] == upstream, served.content_type
        if served.content_type != JSON:
            assert f"<!--SERIAL {expected['meta']['_last-serial']}-->" in served.body.decode()
            status = expected["project-status"]["status"]
            assert f'<meta name="pypi:project-status" content="{status}">' in served.body.decode()

    stored = world.stored("web/packages/")
    assert {key.removeprefix("web") for key in stored} >= named_paths(upstream)


def with_mirror_urls(page: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return upstream's page with the URLs that the mirror's page must have."""
    files = [
        {
            **{key: value for key, value in file.items() if (key, value) != ("provenance", None)},
            "url": "../../packages/" + quote(unquote(file["url"].rpartition("/packages/")[2])),
        }
        for file in page["files"]
    ]
    return {**page, "files": files}


def named_paths(candidates: Sequence[Candidate]) -> set[str]:
    """Return the paths of the files, and of their core metadata, that a page names."""
    paths = {each.without_host.url for each in candidates}
    return paths | {f"{each.without_host.url}.metadata" for each in candidates if each.metadata}


def missing_files(world: World) -> Sequence[str]:
    """Return the keys that a page of the mirror names and the mirror lacks."""
    keys = world.stored("web/")
    named: set[str] = set()
    for key in keys:
        folder, _, form = key.rpartition("/")
        body = world.read(key) if form in FORMS else b""
        if folder.startswith("web/gzip/"):
            folder, body = folder.replace("/gzip", "", 1), gzip.decompress(body)
        if form in FORMS and folder.count("/") == 2:
            url = urljoin("http://mirror.example", f"{folder.removeprefix('web')}/")
            named |= named_paths(read_by_pip(Response(200, FORMS[form], url, body)))
    return sorted(f"web{path}" for path in named if f"web{path}" not in keys)

"""Whether a mirror says what its upstream says, in JSON and in HTML, and has what it names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

from tests.clients import HTML, JSON, TEXT, Answer, get, read_by_pip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.clients import Candidate
    from tests.world import World

FORMS = {"index.v1_json": JSON, "index.v1_html": HTML, "index.html": f"{TEXT}; charset=utf-8"}


def pages_of(world: World, project: str) -> Sequence[Answer]:
    """Return the mirror's page in its three forms, as a web server of the bucket gives them."""
    url = f"http://mirror.example/simple/{project}/"
    return [
        Answer(200, kind, url, world.read(f"web/simple/{project}/{form}"))
        for form, kind in FORMS.items()
    ]


def assert_agreement(world: World, project: str) -> None:
    """Make sure that the mirror's pages of a project are upstream's, and its files are there."""
    answer = get(f"{world.upstream.url}/simple/{project}/", JSON)
    said = without_addresses(json.loads(answer.body))
    page = world.page(project)
    del page["meta"]["_frumious"]
    assert page == said

    upstream = [each.anywhere for each in read_by_pip(answer)]
    for form in pages_of(world, project):
        assert [each.anywhere for each in read_by_pip(form)] == upstream, form.content_type
        if form.content_type != JSON:
            assert f"<!--SERIAL {said['meta']['_last-serial']}-->" in form.body.decode()
            status = said["project-status"]["status"]
            assert f'<meta name="pypi:project-status" content="{status}">' in form.body.decode()

    stored = world.stored("web/packages/")
    assert {key.removeprefix("web") for key in stored} >= keys_named(upstream)


def without_addresses(page: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take out of upstream's page what the mirror says in its own way: where files are."""
    files = [
        {
            **{key: value for key, value in file.items() if (key, value) != ("provenance", None)},
            "url": "../../packages/" + quote(unquote(file["url"].rpartition("/packages/")[2])),
        }
        for file in page["files"]
    ]
    return {**page, "files": files}


def keys_named(candidates: Sequence[Candidate]) -> set[str]:
    """Return the paths of the files, and of their core metadata, that a page promises."""
    paths = {each.anywhere.url for each in candidates}
    return paths | {f"{each.anywhere.url}.metadata" for each in candidates if each.metadata}


def broken_promises(world: World) -> Sequence[str]:
    """Return what any page of the mirror names at this moment and the mirror does not have."""
    keys = world.stored("web/")
    named: set[str] = set()
    for key in keys:
        folder, _, form = key.rpartition("/")
        if form in FORMS and folder.count("/") == 2:
            url = urljoin("http://mirror.example", f"{folder.removeprefix('web')}/")
            named |= keys_named(read_by_pip(Answer(200, FORMS[form], url, world.read(key))))
    return sorted(f"web{path}" for path in named if f"web{path}" not in keys)

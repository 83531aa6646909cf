"""Mirrors of mirrors, and of other kinds of indexes, equal mirrors of PyPI."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval, Outcome
from tests.agreement import assert_agreement
from tests.clients import HTML, JSON, TEXT, found_by_pip, get, read_by_pip, served
from tests.upstream import BANDERSNATCH, DEVPI, HTML_ONLY, sdist, wheel
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.clients import Candidate
    from tests.upstream import Index, Personality
    from tests.world import Aws

PROJECTS = ("demo", "more", "empty", "archived")


@pytest.fixture
def filled(index: Index) -> Index:
    """An index with projects of all kinds."""
    for version in ("1.0", "2.0", "3.0"):
        index.upload(wheel("demo", version, requires_python=">=3.8,<4"), provenance={"version": 1})
        index.upload(sdist("demo", version))
    index.yank("demo", "1.0")
    index.yank("demo", "2.0", 'it is <b>"bad"</b> & ugly')
    index.add_file("More", "more-1.0+local.1.tar.gz", size=50_000)
    index.add_project("empty")
    index.upload(wheel("archived", "1.0"))
    index.archive("archived", "it is done")
    return index


@pytest.fixture
def chain(aws: Aws, world: World) -> Iterator[Chain]:
    with Chain(aws, world) as chain:
        yield chain


class Chain(ExitStack):
    """Mirrors, each the upstream of the next."""

    def __init__(self, aws: Aws, first: World) -> None:
        super().__init__()
        self._aws = aws
        self.last = first

    def add(self) -> World:
        """Mirror the last mirror."""
        # Its host differs from PyPI's, because the mirror's host is the only allowed one.
        master = self.enter_context(served(self.last)).replace("127.0.0.1", "localhost")
        self.last = self.enter_context(World(self._aws, self.last.upstream, master=master))
        self.last.mirror_run([*PROJECTS])
        return self.last


def pages(world: World) -> Mapping[str, Any]:
    """Return the JSON pages without each mirror's private data."""
    found = {}
    for project in PROJECTS:
        found[project] = world.page(project)
        del found[project]["meta"]["_frumious"]
    return found


def html(world: World) -> Mapping[str, bytes]:
    contents = world.contents()
    return {
        key: body
        for key, body in contents.items()
        if key.startswith("web/simple/") and not key.endswith("_json")
    }


def candidates(url: str) -> Mapping[str, Sequence[Candidate]]:
    """Return what pip reads on all project pages, with URLs that do not depend on the server."""
    return {
        project: [each.without_host for each in read_by_pip(get(f"{url}/simple/{project}/", JSON))]
        for project in PROJECTS
    }


def test_a_mirror_s_pages_agree_with_pypi_s(world: World, filled: Index) -> None:
    world.mirror_run([*PROJECTS])

    for project in PROJECTS:
        assert_agreement(world, project)


def test_a_mirror_of_a_mirror_equals_it(world: World, filled: Index, chain: Chain) -> None:
    world.mirror_run([*PROJECTS])

    second = chain.add()

    assert pages(second) == pages(world)
    assert html(second) == html(world)
    assert second.files() == world.files()
    assert second.stored("web/integrity/") == world.stored("web/integrity/") != []

    repeated = second.mirror_run([*PROJECTS])
    assert {result.outcome for result in repeated.results} == {Outcome.UNCHANGED}


def test_upstream_changes_travel_through_mirrors(world: World, filled: Index, chain: Chain) -> None:
    world.mirror_run([*PROJECTS])
    second = chain.add()
    filled.unyank("demo", "1.0")
    filled.remove_release("demo", "3.0")
    filled.upload(wheel("empty", "1.0"))
    filled.remove_project("more")
    filled.quarantine_project("archived", "it is bad")

    outcomes = {}
    for mirror in (world, second):
        for project in PROJECTS:
            outcomes[project] = mirror.sync(
                project, run="run-2", allowed_removal=AllowedRemoval.PROJECT
            ).outcome

    assert outcomes == {
        "demo": Outcome.UPDATED,
        "empty": Outcome.UPDATED,
        "more": Outcome.REMOVED,
        "archived": Outcome.QUARANTINED,
    }
    assert html(second) == html(world)
    assert second.files() == world.files()
    assert not [key for key in second.files() if "more" in key or "archived" in key]


@pytest.mark.parametrize(
    "personality",
    [
        pytest.param(BANDERSNATCH, id="bandersnatch"),
        pytest.param(replace(DEVPI, relative=True), id="devpi with relative addresses"),
        pytest.param(replace(DEVPI, relative=False), id="devpi with absolute addresses"),
        pytest.param(replace(HTML_ONLY, apis=True), id="HTML with absolute addresses"),
        pytest.param(
            replace(HTML_ONLY, apis=True, relative=True), id="HTML with relative addresses"
        ),
    ],
)
def test_pip_reads_the_mirror_as_it_reads_upstream(
    world: World, filled: Index, personality: Personality
) -> None:
    world.upstream.personality = personality
    upstream = candidates(world.upstream.url)
    blobs = sorted(
        (each.file.filename, each.file.content.sha256)
        for project in PROJECTS
        if (view := filled.project(project)) is not None
        for each in view.files
    )

    first = world.mirror_run([*PROJECTS])
    repeated = world.mirror_run([*PROJECTS])

    assert not [result.error for result in first.results if result.error]
    assert {result.outcome for result in repeated.results} == {Outcome.UNCHANGED}
    with served(world) as url:
        assert candidates(url) == upstream
        for accept in (HTML, TEXT):
            read = read_by_pip(get(f"{url}/simple/demo/", accept))
            assert [each.without_host for each in read] == upstream["demo"]
        found = found_by_pip(url, "demo")
        mirrored = [
            each
            for project in PROJECTS
            for each in read_by_pip(get(f"{url}/simple/{project}/", JSON))
        ]
    assert found.keys() == {each.filename for each in upstream["demo"]}
    assert sorted((each.filename, str(each.sha256)) for each in mirrored) == blobs
    assert len([key for key in world.files() if not key.endswith(".metadata")]) == len(blobs)


def test_pypi_bandersnatch_and_two_mirrors_in_a_row(
    world: World, filled: Index, chain: Chain
) -> None:
    world.upstream.personality = BANDERSNATCH
    world.mirror_run([*PROJECTS])

    second = chain.add()
    third = chain.add()

    assert pages(third) == pages(second) == pages(world)
    assert html(third) == html(second) == html(world)
    assert third.files() == second.files() == world.files()
    with served(third) as url:
        assert candidates(url) == candidates(world.upstream.url)

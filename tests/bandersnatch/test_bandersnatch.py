"""Mirrors of the same upstream by both programs, and of each program in the other's mirror.

Intended differences are named here and in docs/bandersnatch.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from tests.agreement import FORMS
from tests.bandersnatch import catalogue
from tests.bandersnatch.reading import JSON_FORM, files, projects, read_project
from tests.bandersnatch.targets import Bucket

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.utils import NormalizedName

    from tests.bandersnatch.conftest import Begun
    from tests.bandersnatch.reading import Offer

pytestmark = [pytest.mark.bandersnatch, pytest.mark.timeout(900)]


def without_reasons(offers: Mapping[str, Offer]) -> Mapping[str, Offer]:
    return {filename: offer._replace(reason="") for filename, offer in offers.items()}


def reported_size(contents: Mapping[str, bytes]) -> tuple[int, int, int]:
    """Return the numbers of projects, files and bytes that the mirror reports."""
    status = json.loads(contents["web/status.json"])
    return status["projects"], status["files"], status["bytes"]


def project_of(key: str) -> NormalizedName:
    """Return the project that a file's key belongs to."""
    return canonicalize_name(key.rpartition("/")[2].partition("-")[0])


def new_files(begun: Begun, since: int, until: int) -> Mapping[str, int]:
    """Return what must be downloaded between two serials: each key, once."""
    upstream = begun.upstream
    return dict.fromkeys(upstream.keys(until) - upstream.keys(since), 1)


def assert_same_pages(
    these: Mapping[str, bytes], those: Mapping[str, bytes], names: Collection[str], begun: Begun
) -> None:
    """Check that pip reads the same on both mirrors' pages, in HTML and JSON.

    Bandersnatch's JSON has no reasons for yanking: those are compared in HTML.
    """
    assert names
    for form in FORMS:
        for name in names:
            these_offers = read_project(these, name, form, hash_index=begun.hash_index)
            those_offers = read_project(those, name, form, hash_index=begun.hash_index)
            assert these_offers is not None, (name, form)
            assert those_offers is not None, (name, form)
            if form == JSON_FORM:
                these_offers = without_reasons(these_offers)
                those_offers = without_reasons(those_offers)
            assert these_offers == those_offers, (name, form)


def assert_same_mirror(
    these: Mapping[str, bytes], those: Mapping[str, bytes], begun: Begun
) -> None:
    """Check that readers of two mirrors get the same."""
    assert files(these).keys() == files(those).keys()
    assert not [key for key, body in files(these).items() if files(those)[key] != body]
    assert projects(these) == projects(those)
    assert_same_pages(these, those, projects(these), begun)
    assert these["status"] == those["status"]


def test_frumious_and_bandersnatch_store_the_same_files(begun: Begun) -> None:
    theirs, ours = begun.by_bandersnatch.contents(), begun.by_frumious.contents()

    assert files(ours).keys() == files(theirs).keys() == begun.upstream.keys(begun.upstream.earlier)
    assert not [key for key, body in files(ours).items() if files(theirs)[key] != body]
    assert ours["status"] == theirs["status"] == str(begun.upstream.earlier).encode()
    assert ours["generation"] == theirs["generation"]


def test_pip_reads_the_same_from_both_mirrors(begun: Begun) -> None:
    theirs, ours = begun.by_bandersnatch.contents(), begun.by_frumious.contents()

    # Bandersnatch reads the legacy JSON, which empty projects do not have.
    assert projects(ours) - projects(theirs) == {*catalogue.EMPTY}
    assert not projects(theirs) - projects(ours)
    assert_same_pages(ours, theirs, projects(theirs), begun)


def test_frumious_continues_what_bandersnatch_began(begun: Begun) -> None:
    upstream = begun.upstream
    continued, fresh = begun.by_bandersnatch.copy(), begun.new_target()

    run = begun.mirrors.frumious(continued, upstream.later)

    assert run.downloads == new_files(begun, upstream.earlier, upstream.later)
    begun.report("frumious, after bandersnatch", run)
    begun.mirrors.frumious(fresh, upstream.later)
    ours = continued.contents()
    assert files(ours).keys() == upstream.keys(upstream.later)
    assert_same_mirror(ours, fresh.contents(), begun)
    for form in FORMS:
        for name in catalogue.REMOVED:
            assert read_project(ours, name, form, hash_index=begun.hash_index) is None
        # Its page without files stays, because the mirror knew it before.
        name = catalogue.QUARANTINED_LATER
        assert read_project(ours, name, form, hash_index=begun.hash_index) == {}
    if isinstance(continued, Bucket):
        for form, kind in FORMS.items():
            assert continued.content_type(f"web/simple/ordinary-100/{form}") == kind


def test_bandersnatch_continues_what_frumious_began(begun: Begun) -> None:
    upstream = begun.upstream
    continued, fresh = begun.by_frumious.copy(), begun.new_target()

    run = begun.mirrors.bandersnatch(continued, upstream.later)

    assert run.downloads == new_files(begun, upstream.earlier, upstream.later)
    begun.report("bandersnatch, after frumious", run)
    begun.mirrors.frumious(fresh, upstream.later)
    theirs, ours = continued.contents(), fresh.contents()
    assert theirs["status"] == str(upstream.later).encode()
    assert files(theirs).keys() >= files(ours).keys()
    # Bandersnatch never removes a project.
    assert projects(theirs) - projects(ours) == {*catalogue.REMOVED, catalogue.QUARANTINED_LATER}
    assert not projects(ours) - projects(theirs)
    assert_same_pages(theirs, ours, projects(ours), begun)


def test_frumious_continues_where_an_older_bandersnatch_was_interrupted(begun: Begun) -> None:
    """It wrote no JSON, and left its list of unfinished projects."""
    upstream = begun.upstream
    target = begun.by_bandersnatch.copy()
    for key in target.contents():
        if key.endswith(f"/{JSON_FORM}"):
            target.delete(key)
    target.write("todo", f"{upstream.earlier}\nordinary-1 {upstream.earlier}".encode())

    run = begun.mirrors.frumious(target, upstream.later)

    assert run.downloads == new_files(begun, upstream.earlier, upstream.later)
    contents = target.contents()
    # Without a root index in JSON nothing lists the projects that upstream no longer has.
    left = files(contents).keys() - upstream.keys(upstream.later)
    assert not upstream.keys(upstream.later) - files(contents).keys()
    assert {project_of(key) for key in left} == {*catalogue.REMOVED, catalogue.QUARANTINED_LATER}
    assert "todo" not in contents  # bandersnatch would continue from it


def test_programs_can_alternate_on_one_mirror(begun: Begun) -> None:
    upstream = begun.upstream
    target, fresh = begun.by_bandersnatch.copy(), begun.new_target()

    begun.mirrors.frumious(target, upstream.later)
    by_bandersnatch = begun.mirrors.bandersnatch(target, upstream.last)
    contents = target.contents()
    repeated = begun.mirrors.frumious(target, upstream.last)
    checked = begun.mirrors.frumious(target, upstream.last, "mirror", "--force-check")

    assert by_bandersnatch.downloads == new_files(begun, upstream.later, upstream.last)
    assert contents["status"] == str(upstream.last).encode()
    if not isinstance(target, Bucket):  # there bandersnatch's `.s3keep` stays in their folders
        assert not projects(contents) & {*catalogue.REMOVED}
    assert repeated.downloads == checked.downloads == {}
    begun.mirrors.frumious(fresh, upstream.last)
    assert_same_mirror(target.contents(), fresh.contents(), begun)
    assert reported_size(target.contents()) == reported_size(fresh.contents())

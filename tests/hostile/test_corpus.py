"""Every hostile response of the corpus, with an empty and with a full mirror."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import pytest

from frumious.errors import FrumiousError
from tests.hostile.case import FILES, Case, Expected
from tests.hostile.cases import CASES
from tests.hostile.mirror_under_test import lookup

if TYPE_CHECKING:
    from tests.hostile.mirror_under_test import Contents, MirrorUnderTest

MAX_GROWTH = 300_000  # KiB, of the process's peak, which includes the fake upstream
MAX_SECONDS = 20.0  # on a slow machine


def test_the_corpus_has_at_least_150_cases() -> None:
    assert len(CASES) >= 150
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("case", "full"),
    [
        *(
            pytest.param(case, False, id=f"{case.id}-empty", marks=pytest.mark.whole)
            for case in CASES
            if not case.always_fails
        ),
        *(pytest.param(case, True, id=f"{case.id}-full") for case in CASES),
    ],
)
def test_hostile_input_never_reaches_readers(
    mirror: MirrorUnderTest, case: Case, *, full: bool
) -> None:
    before = mirror.reset(full=full)
    mirror.apply(case)
    expected = case.full if full else case.empty
    memory, started = _peak(), time.monotonic()

    try:
        reported = _work(mirror, expected)
    finally:
        mirror.undo(case)

    assert time.monotonic() - started < MAX_SECONDS
    assert _peak() - memory < MAX_GROWTH
    contents = mirror.contents()
    if expected.error is not None:
        assert contents.readable.keys() >= before.readable.keys()
        assert {key: contents.readable[key] for key in before.readable} == before.readable
        assert contents.page == before.page
    else:
        _is_published(contents, expected)
    assert (expected.reports or "") in reported
    if full and expected.error is None:
        mirror.repair()


def _work(mirror: MirrorUnderTest, expected: Expected) -> str:
    """Run the job, and return the problem that it reports."""
    if expected.error is not None:
        with pytest.raises(FrumiousError) as caught:
            mirror.sync("demo")
        assert isinstance(caught.value, expected.error), str(caught.value)
        assert caught.value.reason is expected.error.reason
        return str(caught.value)
    result = mirror.sync("demo")
    if expected.outcome is not None:
        assert result.outcome is expected.outcome
    if expected.reports is None:
        assert result.error is None
    else:
        assert result.error is not None
        assert len(result.error) < 2000
    return result.error or ""


def _is_published(contents: Contents, expected: Expected) -> None:
    assert contents.filenames == list(expected.files) or sorted(contents.filenames) == sorted(
        expected.files
    )
    assert not contents.orphans
    if expected.entry is not None:
        assert contents.page is not None
        changed = [file for file in contents.page["files"] if file["filename"] not in FILES[:2]]
        for path, value in expected.entry.items():
            assert lookup(changed[-1], path) == value
    for path, value in (expected.page or {}).items():
        assert lookup(contents.page, path) == value


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

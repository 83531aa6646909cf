"""Every hostile answer of the corpus, to a mirror that has nothing and to one that has it all."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import pytest

from frumious.errors import FrumiousError
from tests.hostile.case import FILES, Case, Expected
from tests.hostile.cases import CASES
from tests.hostile.house import lookup

if TYPE_CHECKING:
    from tests.hostile.house import House, Seen

MOST_GROWTH = 300_000  # KiB, of the process's peak; the fake upstream is in the same one
LONGEST = 20.0  # seconds, on a slow machine


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CASES) >= 150
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("case", "held"),
    [
        *(
            pytest.param(case, False, id=f"{case.id}-fresh", marks=pytest.mark.whole)
            for case in CASES
            if not case.same
        ),
        *(pytest.param(case, True, id=f"{case.id}-held") for case in CASES),
    ],
)
def test_hostile_input_never_reaches_readers(house: House, case: Case, *, held: bool) -> None:
    before = house.begin(held=held)
    house.spoil(case)
    expected = case.held if held else case.fresh
    memory, started = _peak(), time.monotonic()

    try:
        reported = _work(house, expected)
    finally:
        house.leave(case)

    assert time.monotonic() - started < LONGEST
    assert _peak() - memory < MOST_GROWTH
    seen = house.seen()
    if expected.error is not None:
        assert seen.readable.keys() >= before.readable.keys()
        assert {key: seen.readable[key] for key in before.readable} == before.readable
        assert seen.page == before.page
    else:
        _is_published(seen, expected)
    assert (expected.says or "") in reported
    if held and expected.error is None:
        house.mend()


def _work(house: House, expected: Expected) -> str:
    """Do the job, and return what it says is wrong."""
    if expected.error is not None:
        with pytest.raises(FrumiousError) as caught:
            house.sync("demo")
        assert type(caught.value) is expected.error, str(caught.value)
        return str(caught.value)
    result = house.sync("demo")
    if expected.outcome is not None:
        assert result.outcome is expected.outcome
    if expected.says is None:
        assert result.error is None
    else:
        assert result.error is not None
        assert len(result.error) < 2000
    return result.error or ""


def _is_published(seen: Seen, expected: Expected) -> None:
    assert seen.filenames == list(expected.files) or sorted(seen.filenames) == sorted(
        expected.files
    )
    assert not seen.orphans
    if expected.shows is not None:
        assert seen.page is not None
        changed = [file for file in seen.page["files"] if file["filename"] not in FILES[:2]]
        for path, value in expected.shows.items():
            assert lookup(changed[-1], path) == value
    for path, value in (expected.page or {}).items():
        assert lookup(seen.page, path) == value


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

"""The mirror's pages agree with upstream's, and docs/conformance.md is current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.__main__ import DOCUMENT
from tests.conformance.measure import measure

if TYPE_CHECKING:
    from tests.world import World


def test_every_field_is_right_and_the_document_is_current(world: World) -> None:
    rows, document = measure(world)

    assert not [row for row in rows if not row.right]
    assert DOCUMENT.read_text(encoding="utf-8") == document, "run `make conformance`"

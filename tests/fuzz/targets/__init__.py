"""The targets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fuzz.targets import (
    advisories,
    bundles,
    configuration,
    logs,
    names,
    pages,
    responses,
    signing,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for module in (
        pages,
        responses,
        names,
        configuration,
        state,
        advisories,
        signing,
        bundles,
        logs,
    )
    for target in module.TARGETS
}

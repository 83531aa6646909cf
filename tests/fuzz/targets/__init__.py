"""The targets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fuzz.targets import (
    advisories,
    bundles,
    closure,
    configuration,
    feed,
    logs,
    names,
    pages,
    private,
    records,
    responses,
    signing,
    snapshots,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULES: Final = (
    *(pages, responses, names, configuration, state),
    *(advisories, signing, bundles, logs, closure, feed, records, private, snapshots),
)
TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for module in _MODULES for target in module.TARGETS
}

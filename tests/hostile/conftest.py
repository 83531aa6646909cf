"""One mirror for the whole corpus: opening one takes longer than most cases do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile.house import House
from tests.upstream import Index, Server
from tests.world import Aws, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def house(aws: Aws) -> Iterator[House]:
    with pytest.MonkeyPatch.context() as patch, Server(Index()) as upstream:
        patch.setattr(
            "frumious.upstream.upstream.MAX_PAGE_BYTES", 16 * 1024**2
        )  # else it takes long
        with World(aws, upstream) as world:
            yield House(world)

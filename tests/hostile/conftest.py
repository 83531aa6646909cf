"""One mirror for the whole corpus, because opening one takes longer than most cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile.mirror_under_test import MirrorUnderTest
from tests.upstream import Index, Server
from tests.world import Aws, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mirror(aws: Aws) -> Iterator[MirrorUnderTest]:
    with pytest.MonkeyPatch.context() as patch, Server(Index()) as upstream:
        patch.setattr("frumious.upstream.upstream.MAX_PAGE_BYTES", 16 * 1024**2)  # to be fast
        with World(aws, upstream) as world:
            yield MirrorUnderTest(world)

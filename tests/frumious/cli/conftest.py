"""A mirror in a folder, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Server


@pytest.fixture
def conf(tmp_path: Path, upstream: Server) -> str:
    """Return the path of a configuration without filters."""
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nretry-pause = 600\n"
    )
    return str(path)

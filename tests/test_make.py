"""What make's targets say where they lack something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.__main__ import missing

if TYPE_CHECKING:
    from pathlib import Path


def test_test_servers_names_the_servers_that_are_missing(tmp_path: Path) -> None:
    for name in ("nginx", "google-chrome"):  # one of several browsers
        (tmp_path / name).touch(0o755)

    assert missing(str(tmp_path)) == (
        "make test-servers needs memcached, which this machine lacks: install them (Debian,"
        " Ubuntu: apt-get install memcached) and try again."
    )

"""What make's targets print if a program is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.__main__ import missing

if TYPE_CHECKING:
    from pathlib import Path


def test_make_test_servers_names_missing_servers(tmp_path: Path) -> None:
    for name in ("nginx", "minisign", "google-chrome"):  # one of several browsers
        (tmp_path / name).touch(0o755)

    assert missing(str(tmp_path)) == (
        "make test-servers needs memcached, which is not on PATH; install it (Debian, Ubuntu:"
        " apt-get install memcached) and try again."
    )

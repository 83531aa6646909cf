"""Where tables are printed."""

from __future__ import annotations

import os
import sys
from typing import Final

from rich.console import Console

_UNLIMITED: Final = 1000  # columns


def stdout_console() -> Console:
    """Return the console of stdout; in a file or a pipe, a row of a table has one line."""
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if has_width else _UNLIMITED)

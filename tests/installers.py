"""The real installers, as their users run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

PIP: Final = (
    sys.executable,
    "-m",
    "pip",
    "install",
    "--no-cache-dir",
    "--disable-pip-version-check",
)
UV: Final = (str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-cache")


def install(
    installer: tuple[str, ...], url: str, target: Path, *arguments: str, index: str = "simple"
) -> subprocess.CompletedProcess[str]:
    """Install projects from an index at `url`; this machine's own settings do not count."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PIP_", "UV_")) and not name.upper().endswith("_PROXY")
    }
    return subprocess.run(
        [*installer, "--index-url", f"{url}/{index}/", "--target", target, *arguments],
        env={**kept, "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

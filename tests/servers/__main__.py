"""Says in one sentence which servers are missing that no package of ours brings."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")  # any of them
PROGRAMS: Final = {  # with Debian's packages
    ("nginx",): "nginx-light",
    ("memcached",): "memcached",
    BROWSERS: "chromium",
}


def missing(path: str) -> str:
    """Return what to install; empty where everything is there."""
    lacking = {
        names[0]: package
        for names, package in PROGRAMS.items()
        if not any(shutil.which(name, path=path) for name in names)
    }
    if not lacking:
        return ""
    packages = " ".join(lacking.values())
    return (
        f"make test-servers needs {' and '.join(lacking)}, which this machine lacks: install"
        f" them (Debian, Ubuntu: apt-get install {packages}) and try again."
    )


if __name__ == "__main__":
    # Debian keeps servers from users' paths.
    sys.exit(missing(f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/usr/local/sbin") or 0)

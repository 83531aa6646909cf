"""Print which programs are missing that pip cannot install; exit with status 1 if any is."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")  # any of them
PROGRAMS: Final = {  # and Debian's packages
    ("nginx",): "nginx-light",
    ("memcached",): "memcached",
    ("minisign",): "minisign",
    BROWSERS: "chromium",
}


def missing(path: str) -> str:
    """Return what to install; an empty string if nothing is missing."""
    packages = {
        names[0]: package
        for names, package in PROGRAMS.items()
        if not any(shutil.which(name, path=path) for name in names)
    }
    if not packages:
        return ""
    return (
        f"make test-servers needs {' and '.join(packages)}, which is not on PATH; install"
        f" it (Debian, Ubuntu: apt-get install {' '.join(packages.values())}) and try again."
    )


if __name__ == "__main__":
    # On Debian only root has servers on PATH.
    sys.exit(missing(f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/usr/local/sbin") or 0)

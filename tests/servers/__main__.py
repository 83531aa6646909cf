"""Says in one sentence which servers are missing that no package of ours brings."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

PROGRAMS: Final = {"nginx": "nginx-light", "memcached": "memcached"}  # with Debian's packages


def missing(path: str) -> str:
    """Return what to install; empty where everything is there."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if not lacking:
        return ""
    packages = " ".join(PROGRAMS[name] for name in lacking)
    return (
        f"make test-servers needs {' and '.join(lacking)}, which this machine lacks: install"
        f" them (Debian, Ubuntu: apt-get install {packages}) and try again."
    )


if __name__ == "__main__":
    # Debian keeps servers from users' paths.
    sys.exit(missing(f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/usr/local/sbin") or 0)

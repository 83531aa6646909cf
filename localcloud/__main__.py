"""`python -m localcloud demo` and `python -m localcloud run`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from localcloud.cloud import LocalCloud
from localcloud.demo import demo
from localcloud.environment import CHECKOUT, Runtime
from localcloud.logs import LogLine
from localcloud.network import network_variables


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(os.environ.get("STATE") or CHECKOUT / ".localcloud"),
        help="the folder that stores the bucket between runs (STATE; .localcloud/)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demonstration = commands.add_parser(
        "demo", help="mirror some projects and install one of them from the mirror"
    )
    demonstration.add_argument(
        "projects",
        nargs="*",
        default=(os.environ.get("PROJECTS") or "sampleproject six packaging").split(),
        help="(PROJECTS; sampleproject six packaging)",
    )
    demonstration.add_argument(
        "--serve",
        action="store_true",
        default=os.environ.get("SERVE", "0") not in {"", "0"},
        help="keep serving the mirror until Ctrl-C (SERVE=1)",
    )
    commands.add_parser("run", help="invoke functions by the template's schedules until Ctrl-C")
    arguments = parser.parse_args()
    # An exception, so that context managers stop everything that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.command == "demo":
            return demo(arguments.projects, state=arguments.state, serve=arguments.serve)
        run(arguments.state)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def run(state: Path) -> None:
    """Mirror by the template's schedules and `mirror.conf` until Ctrl-C."""
    with LocalCloud(
        runtime=Runtime(environment=network_variables()),
        on_line=LogLine.show,
    ) as cloud:
        cloud.load(state)
        print(f"serving {cloud.url}/simple/", flush=True)
        try:
            cloud.run(threading.Event())
        finally:
            cloud.save(state)


if __name__ == "__main__":
    sys.exit(main())

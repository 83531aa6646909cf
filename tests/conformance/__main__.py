"""Write docs/conformance.md; exit with status 1 if a row is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from localcloud.moto_server import MotoServer
from tests.conformance.measure import measure
from tests.upstream import Index, Server
from tests.world import REGION, Aws, World

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def main() -> int:
    moto = MotoServer()
    os.environ |= {
        "AWS_ENDPOINT_URL": moto.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    try:
        with Server(Index()) as upstream, World(Aws(), upstream) as world:
            rows, document = measure(world)
    finally:
        moto.stop()
    DOCUMENT.write_text(document, encoding="utf-8")
    wrong = [row for row in rows if not row.right]
    for row in wrong:
        print(f"PEP {row.pep}, {row.field}: wrong", file=sys.stderr)
    print(f"{DOCUMENT.relative_to(Path.cwd())}: {len(rows)} rows, {len(wrong)} of them wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The worker's handler in a process that one project kills, as long as a file exists.

Runs in the function's process, where `app` is the worker's.
"""

import json
import os
from pathlib import Path
from typing import Any

from app import handler as healthy  # type: ignore[import-not-found]

DEADLY = Path(os.environ["DEADLY"])


def handler(event: dict[str, Any], context: Any) -> Any:
    projects = {json.loads(record["body"])["project"] for record in event["Records"]}
    if DEADLY.exists() and DEADLY.read_text() in projects:
        os._exit(137)
    return healthy(event, context)

"""Moto's record of its requests: one JSON object per line."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


class RecordedRequest(NamedTuple):
    """One request."""

    method: str
    path: str  # of S3: /<bucket>/<key>
    lists: bool  # whether it is a listing of S3
    is_sqs: bool

    @classmethod
    def of(cls, line: str) -> RecordedRequest:
        """Parse a line of the record."""
        request = json.loads(line)
        url = urlsplit(request["url"])
        return cls(
            request["method"],
            unquote(url.path),
            "list-type" in parse_qs(url.query),
            "AmazonSQS" in str(request["headers"]),
        )


class Recording:
    """The requests to the moto that was started while `recording` was open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = 0

    def pop_requests(self) -> list[RecordedRequest]:
        """Return the requests since the previous call."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        new, self._seen = lines[self._seen :], len(lines)
        return [RecordedRequest.of(line) for line in new]


@contextmanager
def recording() -> Iterator[Recording]:
    """Make the next moto server record its requests."""
    with tempfile.TemporaryDirectory(prefix="frumious-bench-") as folder:
        path = Path(folder, "requests.jsonl")
        path.touch()
        os.environ |= {"MOTO_ENABLE_RECORDING": "yes", "MOTO_RECORDER_FILEPATH": str(path)}
        yield Recording(path)

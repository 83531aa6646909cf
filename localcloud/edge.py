"""CloudFront before the request to the origin: cache behaviors and the edge function.

The edge function is the template's own JavaScript, run in QuickJS. Its events are described at
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Any

import quickjs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.stack import Behavior


def choose_behavior(behaviors: Sequence[Behavior], path: str) -> Behavior:
    """Return the first behavior whose pattern matches; the last one matches every path.

    As in CloudFront, patterns match the normalised path, but the origin gets the original one.
    """
    normal = posixpath.normpath(path) + ("/" if path.endswith("/") else "")
    return next(behavior for behavior in behaviors if _matches(behavior.pattern, normal))


def _matches(pattern: str, path: str) -> bool:
    expression = re.escape(pattern.removeprefix("/")).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, path.removeprefix("/"), re.DOTALL) is not None


class EdgeFunction:
    """A viewer-request function; only the thread that created it may call it."""

    def __init__(self, code: str) -> None:
        self._context = quickjs.Context()
        self._context.eval(code)
        self._handler = self._context.get("handler")

    def __call__(self, method: str, uri: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the request to forward, with its `uri`, or a response with a `statusCode`."""
        event = {
            "version": "1.0",
            "context": {"eventType": "viewer-request", "requestId": "local"},
            "viewer": {"ip": "127.0.0.1"},
            "request": {
                "method": method,
                "uri": uri,
                "querystring": {},
                "headers": {name.lower(): {"value": value} for name, value in headers.items()},
                "cookies": {},
            },
        }
        result = json.loads(self._handler(self._context.parse_json(json.dumps(event))).json())
        if not {"uri", "statusCode"} & result.keys():
            msg = f"the edge function returned neither a request nor a response: {result!r}"
            raise TypeError(msg)
        return dict(result)

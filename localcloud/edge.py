"""CloudFront before the request to the origin: cache behaviors and the edge function.

The edge function is the template's own JavaScript, run in QuickJS. The CloudFront developer guide
describes its events ("Event structure") and modules ("JavaScript runtime 2.0 features", "Helper
methods for key value stores", "Helper methods for origin modification").
"""

from __future__ import annotations

import base64
import hashlib
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


# What a function can use beyond the language. As in CloudFront, a missing key is an error, and
# without an associated store there is none.
MODULES = """
const Buffer = { from: (text, encoding) => ({ toString: () => _decode(text, encoding) }) };
const _modules = {
  crypto: {
    createHash(algorithm) {
      let data = '';
      return {
        update(text) { data += text; return this; },
        digest: encoding => _digest(algorithm, data, encoding),
      };
    },
  },
  cloudfront: {
    createRequestOriginGroup(group) { _originGroup = group; },
    updateRequestOrigin(settings) { _originSettings = settings; },
    logCustomData(text) { _logged = text; },
    kvs() {
      if (!_hasStore) throw new Error('no key value store is associated with the function');
      return {
        async get(key, options) {
          const value = _read(key);
          if (value === null) throw new Error('KeyNotFound');
          return options && options.format === 'json' ? JSON.parse(value) : value;
        },
      };
    },
  },
};
var _outcome = null;
var _originGroup = null;
var _originSettings = null;
var _logged = null;
function _call(event) {
  _originGroup = _originSettings = _logged = null;
  Promise.resolve().then(() => handler(event)).then(
    result => {
      _outcome = JSON.stringify({
        result, originGroup: _originGroup, originSettings: _originSettings,
      });
    },
    error => { _outcome = JSON.stringify({ error: `${error}` }); },
  );
}
"""


# "Restrictions on all edge functions" in the developer guide: functions cannot add these headers of
# requests, or cannot change them.
DISALLOWED_HEADERS = re.compile(
    r"connection|expect|keep-alive|proxy-(authenticate|authorization|connection)|trailer|upgrade"
    r"|x-accel-(buffering|charset|limit-rate|redirect)|x-amz-cf-.*|x-amzn-.*|x-cache|x-edge-.*"
    r"|x-forwarded-proto|x-real-ip"
)
READ_ONLY_HEADERS = {"cdn-loop", "content-length", "host", "transfer-encoding", "via"}


class EdgeError(Exception):
    """The edge function failed. CloudFront would answer with `status`."""

    def __init__(self, message: str, status: int = 503) -> None:
        super().__init__(message)
        self.status = status


class EdgeFunction:
    """A viewer-request function; only the thread that created it may call it.

    `store` has the values of the associated KeyValueStore. `logged` is what the last call added to
    the access log.
    """

    logged: str | None

    def __init__(self, code: str, store: Mapping[str, str] | None = None) -> None:
        self._context = quickjs.Context()
        self._context.add_callable("_decode", _decode)
        self._context.add_callable("_digest", _digest)
        self._context.add_callable("_read", ({} if store is None else store).get)
        self._context.set("_hasStore", store is not None)
        self._context.eval(MODULES)
        self._context.eval(
            re.sub(
                r"^import (\w+) from ('\w+');$",
                r"const \1 = _modules[\2];",
                code,
                flags=re.MULTILINE,
            )
        )

    def __call__(
        self, method: str, uri: str, headers: Mapping[str, str], viewer: str = "127.0.0.1"
    ) -> dict[str, Any]:
        """Return the request to forward, with its `uri`, or a response with a `statusCode`.

        A request that the function sends to two origins has an `originGroup`. One whose origin it
        changes has `originSettings`, which replace those of the behavior's (primary) origin.
        """
        event: dict[str, Any] = {
            "version": "1.0",
            "context": {"eventType": "viewer-request", "requestId": "local"},
            "viewer": {"ip": viewer},
            "request": {
                "method": method,
                "uri": uri,
                "querystring": {},
                "headers": {name.lower(): {"value": value} for name, value in headers.items()},
                "cookies": {},
            },
        }
        self._context.get("_call")(self._context.parse_json(json.dumps(event)))
        while self._context.execute_pending_job():
            pass
        outcome = json.loads(self._context.get("_outcome"))
        self.logged = self._context.get("_logged")
        if "error" in outcome:
            raise EdgeError(outcome["error"])
        result = outcome["result"]
        if not {"uri", "statusCode"} & result.keys():
            msg = f"the edge function returned neither a request nor a response: {result!r}"
            raise TypeError(msg)
        if "uri" in result:
            _check_headers(event["request"]["headers"], result["headers"])
        for name in ("originGroup", "originSettings"):
            if outcome[name] is not None:
                result[name] = outcome[name]
        return dict(result)


def _check_headers(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in before.keys() | after.keys():
        is_added = name in after and name not in before
        is_changed = before.get(name) != after.get(name)
        if name != name.lower():
            problem = "not in lower case"
        elif is_added and DISALLOWED_HEADERS.fullmatch(name):
            problem = "disallowed"
        elif is_changed and name in READ_ONLY_HEADERS:
            problem = "read-only"
        else:
            continue
        msg = f"the edge function changed the header {name!r}, which is {problem}"
        raise EdgeError(msg, 502)


def _decode(text: str, encoding: str) -> str:
    if encoding != "base64":
        msg = f"the local edge does not support the encoding {encoding!r}"
        raise ValueError(msg)
    return base64.b64decode(text + "==").decode(errors="replace")


def _digest(algorithm: str, text: str, encoding: str) -> str:
    if algorithm not in {"md5", "sha1", "sha256"} or encoding != "hex":
        msg = f"the local edge does not support {algorithm!r} as {encoding!r}"
        raise ValueError(msg)
    return hashlib.new(algorithm, text.encode()).hexdigest()

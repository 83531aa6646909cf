"""Mutations: of bytes by libFuzzer, and of the values in JSON, which bytes rarely hit."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import atheris

INTERESTING: Final[tuple[Any, ...]] = (
    *(None, True, False, "", [], {}),
    *(0, -1, 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**18, 10**30, -(2**63)),
    *(0.5, -1.5, 1e300, -1e300, 1e-300, float("inf"), float("-inf"), float("nan")),
    *("\0", "\n", "\ud800", "é", "\u202e", "/", "..", "../../x", "a" * 300, "-1", "1e999"),
    *(
        "https://upstream.example/",
        "//evil.example/",
        "https://u:p@upstream.example/?a=b#c",
        "file:///etc/passwd",
    ),
    *("demo", "Demo", "demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl", "index.html"),
    *("20260101T000000-1", "updated", "failed", "put off", "FILES", "PROJECT", "quarantined"),
    *("ab" * 32, "AB" * 32, "ab" * 16, {"sha256": "ab" * 32}, {"md5": "ab" * 16}),
)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Return changed data; half of JSON gets changed values."""
    choices = random.Random(seed)
    if choices.random() < 0.5:
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            pass
        else:
            for _ in range(choices.randint(1, 3)):
                payload = _changed(payload, choices)
            mutated = json.dumps(payload, separators=(",", ":")).encode()
            if len(mutated) <= max_size:
                return mutated
    return bytes(atheris.Mutate(data, max_size))


def _changed(payload: Any, choices: random.Random) -> Any:
    """Return JSON with one value, key or entry changed."""
    if not isinstance(payload, dict | list) or not payload or choices.random() < 0.1:
        return choices.choice(INTERESTING)
    keys = list(payload) if isinstance(payload, dict) else list(range(len(payload)))
    key: Any = choices.choice(keys)
    kind = choices.randrange(10)
    changed: Any = payload.copy()
    if kind == 0:
        del changed[key]
    elif kind == 1 and isinstance(changed, dict):
        value = changed.pop(key)
        changed[choices.choice([*keys, "", "x", "\0", "Demo"])] = value
    elif kind == 2 and isinstance(changed, list):
        changed.insert(choices.randint(0, len(changed)), payload[key])
    else:
        changed[key] = _changed(payload[key], choices)
    return changed

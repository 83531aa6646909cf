"""PyPI's XML-RPC methods for mirrors."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from .index import Index


def called_method(body: bytes) -> str | None:
    """Return the name of the method that a request's body calls; None if it is no call."""
    return _call(body)[1]


@lru_cache(maxsize=1000)
def _call(body: bytes) -> tuple[tuple[Any, ...], str | None]:
    """Return the parameters and the name of the method that a request's body calls."""
    try:
        return loads(body)
    except Exception:  # noqa: BLE001 - the body is not XML-RPC
        return (), None


def respond(index: Index, body: bytes, *, at: int | None, row_limit: int) -> bytes:
    """Respond to a call as of the serial `at`, with at most `row_limit` rows of the changelog."""
    last_serial = index.serial if at is None else min(at, index.serial)

    def changelog_last_serial() -> int:
        return last_serial

    def changelog_since_serial(serial: int) -> list[list[Any]]:
        changes = index.changes_since(serial, row_limit)
        return [list(change) for change in changes if change.serial <= last_serial]

    def list_packages_with_serial() -> dict[str, int]:
        return {name: serial for _, name, serial in index.projects(at, quarantined=True)}

    methods: dict[str, Callable[..., Any]] = {
        method.__name__: method
        for method in (changelog_last_serial, changelog_since_serial, list_packages_with_serial)
    }
    parameters, name = _call(body)
    if name not in methods:
        return _dump(Fault(-32601, f"server error; requested method not found: {name!r}"))
    try:
        result = methods[name](*parameters)
    except TypeError as error:
        return _dump(Fault(-32602, f"server error; invalid method parameters: {error}"))
    return _serial(result) if isinstance(result, int) else _dump((result,))


@lru_cache(maxsize=1000)
def _serial(serial: int) -> bytes:
    return _dump((serial,))


def _dump(response: Fault | tuple[Any, ...]) -> bytes:
    return dumps(response, methodresponse=True, allow_none=True).encode()

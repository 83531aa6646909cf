"""The worker's handler with short pauses.

Runs in the function's process, where `app` is the worker's.
"""

from frumious.syncing import delivery

delivery._FIRST_PAUSE = 1  # type: ignore[misc]

from app import handler  # type: ignore[import-not-found]  # noqa: E402

__all__ = ["handler"]

"""What the mirror logs, as lines on stderr: why work is slow or failing, at once and not too often.

With `--verbose` each step is a line, which names its project and file.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import click

from frumious.redaction import redact_record

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL: Final = 10.0  # seconds in which a reason is shown once
_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Notes(logging.Handler):
    """Shows log records with their fields.

    Attributes:
        show: Where lines go; a progress bar takes them as long as it is on the screen.
    """

    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self.show: Callable[[str], None] = echo
        self._verbose = verbose
        self._shown: dict[str, float] = {}  # when a reason was last shown
        self.addFilter(redact_record)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        fields = {name: vars(record)[name] for name in vars(record).keys() - _OWN_FIELDS}
        if self._verbose:
            shown = ", ".join(f"{name}={value}" for name, value in sorted(fields.items()))
            when = time.strftime("%H:%M:%S", time.localtime(record.created))
            text = f"{when} {record.levelname} {record.name}: {record.msg}"
            self.show(f"{text} ({shown})" if shown else text)
        elif self._is_news(record, fields):
            self.show(_sentence(str(record.msg), fields))
        if record.exc_text:
            self.show(record.exc_text)

    def _is_news(self, record: logging.LogRecord, fields: dict[str, object]) -> bool:
        """Return whether a record is worth a line: its reason was not shown just now."""
        if record.levelno >= logging.ERROR:
            return True
        if {"errors", "problems"} & fields.keys() or fields.get("retry", 0) is None:
            return False  # the project's own line says it, or the end of the run
        reason = f"{record.msg}: {str(fields.get('error', '')).partition(':')[0]}"
        now = time.monotonic()
        if now - self._shown.get(reason, -_INTERVAL) < _INTERVAL:
            return False
        self._shown[reason] = now
        return True


def echo(line: str) -> None:
    """Write a line to stderr."""
    click.echo(line, err=True)


def _sentence(message: str, fields: dict[str, object]) -> str:
    """Return what happened to which project and why, and when it is tried again."""
    project, error = fields.pop("project", None), fields.pop("error", None)
    seconds = fields.pop("retry", None)
    parts = [] if seconds is not None else [message]  # the error says it
    others = ", ".join(f"{name}: {value}" for name, value in sorted(fields.items()))
    parts += [str(part) for part in (error, others) if part]
    text = ": ".join(parts)
    text = text if project is None else f"{project}: {text}"
    return text if seconds is None else f"{text}; trying again in {seconds} s"

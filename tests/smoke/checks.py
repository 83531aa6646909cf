"""What a stack that was just deployed has to do; the same checks for AWS and the local stack."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.install import InstallError, install_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_TIMEOUT = 30  # seconds
_JSON = "application/vnd.pypi.simple.v1+json"


class SmokeError(Exception):
    """The stack did not do what it has to."""


@dataclass(frozen=True, slots=True)
class DeployedMirror:
    """Where readers find the mirror (without a slash at the end), and what its alarms say."""

    url: str
    alarm_states: Callable[[], Mapping[str, str]]  # "OK", "ALARM" or "INSUFFICIENT_DATA" by name


def check_mirror(
    mirror: DeployedMirror,
    project: str,
    *,
    seconds: float,
    pause: float = 10,
    report: Callable[[str], None] = print,
) -> None:
    """Check that the mirror gets the project by itself, serves it to pip, and raises no alarm.

    Args:
        mirror: The stack; its schedules run.
        project: The normalized name of a project that its configuration selects.
        seconds: For each check, how long it may take until it succeeds.
        pause: Seconds between two attempts.
        report: Called with a line for each check that succeeded.

    Raises:
        SmokeError: a check did not succeed in time; says what was found instead.
    """

    def wait_for(what: str, probe: Callable[[], str]) -> None:
        """Wait until `probe` returns an empty text, and not what is wrong."""
        deadline = time.monotonic() + seconds
        while problem := probe():
            if time.monotonic() > deadline:
                msg = f"{what}: not within {seconds:.0f} s: {problem}"
                raise SmokeError(msg)
            time.sleep(pause)
        report(f"{what}: yes")

    wait_for(f"{project} is mirrored", lambda: _missing_page(mirror.url, project))
    wait_for("status.json says that nothing is missing", lambda: _missing_status(mirror.url))
    try:
        installed = install_one(f"{mirror.url}/simple/", [project])
    except InstallError as error:
        raise SmokeError(str(error)) from error
    report(f"pip installs {installed.project} {installed.version}: yes")
    wait_for("no alarm is on", lambda: _alarms(mirror.alarm_states()))


def _missing_page(url: str, project: str) -> str:
    page = _get(f"{url}/simple/{project}/")
    if isinstance(page, str):
        return page
    return "" if page.get("files") else f"its page has no files: {page}"


def _missing_status(url: str) -> str:
    status = _get(f"{url}/status.json")
    if isinstance(status, str):
        return status
    if status.get("lagging"):
        return f"these projects are lagging: {status['lagging']}"
    return "" if status.get("projects") and status.get("serial") else f"it says {status}"


def _alarms(states: Mapping[str, str]) -> str:
    return ", ".join(sorted(name for name, state in states.items() if state == "ALARM"))


def _get(url: str) -> dict[str, Any] | str:
    """Return the JSON object at the address, or why there is none."""
    request = urllib.request.Request(url, headers={"Accept": f"{_JSON}, application/json"})  # noqa: S310 (http or https)
    try:
        with urllib.request.urlopen(request, timeout=_READ_TIMEOUT) as response:  # noqa: S310
            found: dict[str, Any] = json.load(response)
            return found
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        return f"{url}: {error}"

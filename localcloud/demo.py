"""The demo: mirror some projects on the local stack, and install one of them with pip."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from localcloud.cloud import LocalCloud
from localcloud.environment import Runtime
from localcloud.install import Installed, InstallError, install_one
from localcloud.network import network_variables
from localcloud.progress import JobProgress
from localcloud.runtime_api import FunctionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RETRY_SECONDS = 60  # to wait for retries of failed jobs
MAX_IDLE_SECONDS = 120  # without output, after which running jobs are given up
MIRRORED = {"updated", "unchanged"}


def demo(
    projects: Sequence[str],
    *,
    state: Path,
    serve: bool,
    runtime: Runtime | None = None,
    console: Console | None = None,
) -> int:
    """Mirror the projects and install one of them from the mirror; return the exit code."""
    console = console or Console(highlight=False)
    runtime = runtime or Runtime(environment=network_variables())
    wanted = list(dict.fromkeys(canonicalize_name(project) for project in projects))
    progress = JobProgress(console)
    with LocalCloud(parameters={"LogLevel": "DEBUG"}, runtime=runtime, on_line=progress) as cloud:
        cloud.load(state)
        console.print(f"Mirroring {', '.join(wanted)} ...")
        started = time.monotonic()
        try:
            outcome, errors = _mirror(cloud, wanted, progress)
        except FunctionFailed as error:
            _print_error(f"The run failed: {error}.", console)
            return 1
        finally:
            cloud.stop_functions()
            cloud.save(state)
        seconds = time.monotonic() - started
        mirrored = [project for project in wanted if outcome.get(project) in MIRRORED]
        problems = _problems(wanted, outcome, errors)
        installed = None
        try:
            installed = None if problems else install_one(f"{cloud.url}/simple/", wanted)
        except InstallError as error:
            problems = [str(error)]
        if installed:
            console.print(_success(installed))
        if mirrored:
            console.print(_table(cloud, len(mirrored), seconds))
        if installed is None:
            _print_error("\n".join(problems), console)
            return 1
        if serve:
            _serve(cloud, installed.project, console)
    return 0


def _mirror(
    cloud: LocalCloud, wanted: Sequence[str], progress: JobProgress
) -> tuple[dict[str, str], Mapping[str, str]]:
    """Run planner, worker and finalizer; return each project's outcome, and the errors."""
    cloud.invoke("PlannerFunction", {"projects": wanted})
    with progress:
        cloud.pump(give_up=lambda: progress.idle_seconds > MAX_IDLE_SECONDS)
        if not progress.errors.keys() >= set(wanted):  # else upstream is unavailable
            cloud.pump(wait_seconds=RETRY_SECONDS)
    answer: dict[str, Any] = cloud.invoke("FinalizerFunction", {})
    # The other jobs are still open: they failed and would be retried, or did not finish.
    outcome = {**dict.fromkeys(wanted, "failed"), **answer["projects"]}
    return outcome, {**progress.errors, **answer["errors"]}


def _problems(
    wanted: Sequence[str], outcome: Mapping[str, str], errors: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each project that failed, or a single one if all failed."""
    problems = []
    for project in wanted:
        match outcome.get(project):
            case "absent":
                problems.append(f"Upstream has no project {project!r}.")
            case "removed":
                problems.append(f"Upstream has removed the project {project!r}.")
            case "quarantined":
                problems.append(f"Upstream has quarantined the project {project!r}.")
            case "failed":
                reason = errors.get(project, "its job did not finish")
                problems.append(f"{project!r} could not be mirrored: {reason}.")
    if errors.keys() >= set(wanted):
        return [f"Nothing could be mirrored: {errors[wanted[0]]}."]
    return problems


def _success(installed: Installed) -> str:
    without = " without its dependencies, which are not mirrored," if installed.no_deps else ""
    return (
        f"pip installed {installed.project} {installed.version} from the mirror{without}"
        f" and `import {installed.module}` works."
    )


def _table(cloud: LocalCloud, projects: int, seconds: float) -> Table:
    table = Table("Projects", "Files", "Bytes", "Requests to upstream", "Requests to S3", "Seconds")
    table.add_row(
        str(projects),
        f"{cloud.logs.total('files_stored'):.0f}",
        decimal(int(cloud.logs.total("bytes_stored"))),
        f"{cloud.logs.total('upstream_requests'):.0f}",
        f"{cloud.logs.total('storage_requests'):.0f}",
        f"{seconds:.1f}",
    )
    return table


def _print_error(text: str, console: Console) -> None:
    console.print(text, style="red", markup=False, soft_wrap=True)


def _serve(cloud: LocalCloud, project: str, console: Console) -> None:
    console.print("Serving the mirror until Ctrl-C:")
    console.print(f"  pip install --index-url {cloud.url}/simple/ {project}", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()

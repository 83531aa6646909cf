"""What logged requests come to: clients of some files, projects by downloads, unused projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.downloads.files import filename_of, projects_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from packaging.utils import NormalizedName

    from frumious.downloads.fields import Request
    from frumious.downloads.files import Subject
    from frumious.downloads.tally import Tally


def file_requests(
    requests: Iterable[Request], statuses: Collection[int]
) -> Iterator[tuple[str, Request]]:
    """Yield the requests for files that had one of the statuses, and the files' names."""
    for request in requests:
        if request.method == "GET" and request.status in statuses:
            filename = filename_of(request.path)
            if filename is not None:
                yield filename, request


def count_clients(
    tally: Tally, requests: Iterable[tuple[str, Request]], subjects: Collection[Subject]
) -> None:
    """Count requests for the subjects, by file and client."""
    for filename, request in requests:
        if any(subject.has(filename) for subject in subjects):
            _, _, _, _, _, address, forwarded_for, user, agent = request
            tally.add((filename, address, forwarded_for, user, agent), request)


def count_projects(tally: Tally, requests: Iterable[tuple[str, Request]]) -> None:
    """Count requests by project: the likeliest one, where a file's name allows several."""
    for filename, request in requests:
        for project in projects_of(filename)[:1]:
            tally.add((project,), request)


def without_downloads(
    requests: Iterable[tuple[str, Request]], listed: dict[NormalizedName, bool]
) -> Iterator[NormalizedName]:
    """Yield the listed projects that no request is for; in doubt, a project has one."""
    for filename, _ in requests:
        for project in projects_of(filename):
            if project in listed:
                listed[project] = True
    return (project for project, is_used in listed.items() if not is_used)

"""Compare the mirror's root index and status with upstream at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tests.soak.witness import ROOT, ROOT_HTML, ROOT_V1_HTML, STATUS, STATUS_JSON, root_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.upstream import Index

ROOTS = frozenset({ROOT, ROOT_HTML, ROOT_V1_HTML})


def root_problems(index: Index, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the differences of root index and status from upstream."""
    missing = {*ROOTS, STATUS, STATUS_JSON} - contents.keys()
    if missing:
        yield f"missing: {sorted(missing)}"
        return
    if int(contents[STATUS]) != index.serial:
        yield f"status is {contents[STATUS]!r}, and upstream's serial {index.serial}"
    status = json.loads(contents[STATUS_JSON])
    if status["serial"] != index.serial or status["lagging"]:
        yield f"{STATUS_JSON} says {status['serial']}, lagging {status['lagging']}"
    payload = json.loads(contents[ROOT])
    if payload["meta"]["_last-serial"] != index.serial:
        yield f"{ROOT} has serial {payload['meta']['_last-serial']}, and upstream {index.serial}"
    # Spelling is ignored: the mirror reads names from project pages, which are normalised.
    expected = {str(name): serial for name, _, serial in index.projects()}
    names = {str(canonicalize_name(entry["name"])): entry["name"] for entry in payload["projects"]}
    found = {
        str(canonicalize_name(entry["name"])): entry["_last-serial"]
        for entry in payload["projects"]
    }
    for project in sorted(found.keys() | expected.keys()):
        mirrored, expected_serial = found.get(project), expected.get(project)
        if mirrored != expected_serial:
            yield f"{ROOT} has {project!r} at {mirrored}, and upstream at {expected_serial}"
    for key in (ROOT_HTML, ROOT_V1_HTML):
        if root_names(contents[key]) != names:
            yield f"{key} links to other projects than {ROOT}"

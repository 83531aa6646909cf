"""What the mirror must say of itself as a whole in the end: what upstream says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tests.soak.witness import ROOT, ROOT_HTML, ROOT_V1_HTML, STATUS, STATUS_JSON, root_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.upstream import Index

ROOTS = frozenset({ROOT, ROOT_HTML, ROOT_V1_HTML})


def wrongs_of_the_whole(index: Index, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Tell where root index and status say something else than upstream."""
    missing = {*ROOTS, STATUS, STATUS_JSON} - contents.keys()
    if missing:
        yield f"missing: {sorted(missing)}"
        return
    if int(contents[STATUS]) != index.serial:
        yield f"status is {contents[STATUS]!r}, and upstream's serial {index.serial}"
    told = json.loads(contents[STATUS_JSON])
    if told["serial"] != index.serial or told["lagging"]:
        yield f"{STATUS_JSON} says {told['serial']}, lagging {told['lagging']}"
    said = json.loads(contents[ROOT])
    if said["meta"]["_last-serial"] != index.serial:
        yield f"{ROOT} is of {said['meta']['_last-serial']}, and upstream of {index.serial}"
    # Spelling is left out: project pages, where the mirror has its names from, are normalised.
    expected = {str(name): serial for name, _, serial in index.projects()}
    names = {str(canonicalize_name(entry["name"])): entry["name"] for entry in said["projects"]}
    found = {
        str(canonicalize_name(entry["name"])): entry["_last-serial"] for entry in said["projects"]
    }
    for project in sorted(found.keys() | expected.keys()):
        mine, theirs = found.get(project), expected.get(project)
        if mine != theirs:
            yield f"{ROOT} has {project!r} at {mine}, and upstream at {theirs}"
    for key in (ROOT_HTML, ROOT_V1_HTML):
        if root_names(contents[key]) != names:
            yield f"{key} links to other projects than {ROOT}"

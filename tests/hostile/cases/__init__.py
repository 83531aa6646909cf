"""The corpus: one module for each family."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from tests.hostile.cases import (
    bodies,
    companions,
    duplicates,
    fields,
    filenames,
    hashes,
    html,
    markup,
    meta,
    other_projects,
    sizes,
    statuses,
    urls,
    wire,
)

if TYPE_CHECKING:
    from tests.hostile.case import Case

FAMILIES: dict[str, list[Case]] = {
    "filenames": filenames.CASES,
    "urls": urls.CASES,
    "hashes": hashes.CASES,
    "sizes": sizes.CASES,
    "bodies": bodies.CASES,
    "meta": meta.CASES,
    "fields": fields.CASES,
    "duplicates": duplicates.CASES,
    "other projects": other_projects.CASES,
    "markup": markup.CASES,
    "statuses": statuses.CASES,
    "wire": wire.CASES,
    "companions": companions.CASES,
    "html": html.CASES,
}
CASES: list[Case] = list(chain.from_iterable(FAMILIES.values()))

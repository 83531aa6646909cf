"""A mirror's project pages as pip reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from tests.agreement import FORMS
from tests.clients import Response, read_by_pip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

JSON_FORM: Final = "index.v1_json"


class Offer(NamedTuple):
    """What pip knows about a file before it downloads it."""

    url: str  # absolute, unquoted
    sha256: str | None
    requires_python: str | None
    metadata: str | None
    yanked: bool
    reason: str  # why it is yanked


def read_project(
    contents: Mapping[str, bytes], project: str, form: str, *, hash_index: bool = False
) -> Mapping[str, Offer] | None:
    """Return what a project's page offers, by filename; None if there is no page.

    Readers request `/simple/<project>/`, whatever the page's key.
    """
    folder = f"{project[0]}/{project}" if hash_index else project
    body = contents.get(f"web/simple/{folder}/{form}")
    if body is None:
        return None
    response = Response(200, FORMS[form], f"http://mirror.example/simple/{project}/", body)
    return {
        each.filename: Offer(
            unquote(each.url),
            each.sha256,
            each.requires_python,
            each.metadata,
            each.yanked is not None,
            each.yanked or "",
        )
        for each in read_by_pip(response)
    }


def projects(contents: Mapping[str, bytes]) -> frozenset[NormalizedName]:
    """Return the projects that the root index names."""
    page = json.loads(contents[f"web/simple/{JSON_FORM}"])
    return frozenset(canonicalize_name(each["name"]) for each in page["projects"])


def files(contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the files and their core metadata, without bandersnatch's folder markers in S3."""
    return {
        key: body
        for key, body in contents.items()
        if key.startswith("web/packages/") and not key.endswith("/.s3keep")
    }

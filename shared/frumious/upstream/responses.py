"""What upstream's responses say of themselves: media types, serials and ETags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frumious.simple.values import InvalidPage, InvalidValue, parse_serial, valid_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.types import JsonObject
    from frumious.upstream.client import Response

SIMPLE: Final = {
    "Accept": "application/vnd.pypi.simple.v1+json,"
    " application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
}
_JSON_TYPES: Final = re.compile(r"application/(vnd\.pypi\.simple\.(v1|latest)\+)?json")
_HTML_TYPES: Final = re.compile(
    r"application/vnd\.pypi\.simple\.(v1|latest)\+html|text/html|application/xhtml\+xml"
)
_PROVENANCE_TYPES: Final = ("application/vnd.pypi.integrity.v1+json", "application/json")


def if_changed(etag: str) -> Mapping[str, str]:
    """Return the headers of a request for a page whose ETag differs from `etag`."""
    etag = valid_etag(etag)  # it was stored
    return {**SIMPLE, "If-None-Match": etag} if etag else SIMPLE


def check_provenance(response: Response, payload: JsonObject) -> None:
    """Check that a response has the media type and the keys of a provenance (PEP 740).

    A mirror that serves files from a folder may know its type only as JSON.

    Raises:
        InvalidPage: it has not.
    """
    media_type = _media_type(response)
    if media_type not in _PROVENANCE_TYPES:
        msg = f"{response.url} is {media_type!r:.80}, which is not the type of a provenance"
        raise InvalidPage(msg)
    bundles = payload.get("attestation_bundles", [])
    if type(payload.get("version")) is not int or not isinstance(bundles, list):
        msg = f"{response.url} is not a provenance: 'version' or 'attestation_bundles' is invalid"
        raise InvalidPage(msg)


def serial_of(response: Response) -> int | None:
    """Return the serial of PyPI's header."""
    try:
        return parse_serial(response.headers.get("X-PyPI-Last-Serial"))
    except InvalidValue:
        return None


def etag_of(response: Response) -> str:
    """Return the ETag; empty if there is none that is valid."""
    return valid_etag(response.headers.get("ETag", ""))


def is_same(etag: str, other: str) -> bool:
    """Compare weakly (RFC 9110, 8.8.3.2), for upstreams that ignore If-None-Match."""
    return bool(etag) and etag.removeprefix("W/") == other.removeprefix("W/")


def is_json(response: Response) -> bool:
    """Return whether a response of the Simple API is JSON, not HTML (PEP 691).

    Raises:
        InvalidPage: its Content-Type is neither.
    """
    media_type = _media_type(response)
    if _JSON_TYPES.fullmatch(media_type):
        return True
    if _HTML_TYPES.fullmatch(media_type):
        return False
    msg = f"{response.url} is {media_type!r:.80}, which is neither JSON nor HTML"
    raise InvalidPage(msg)


def _media_type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

"""Which of S3's calls takes which parameter, and how its text is meant: as boto3's data has it.

Knows nothing of a parameter's meaning: whatever AWS adds works with the boto3 that knows it.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.validate import ParamValidator

from frumious.config import values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.model import OperationModel, Shape

CALLS: Final = (
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "GetObject",
    "HeadObject",
    "ListMultipartUploads",
    "ListObjectsV2",
    "DeleteObjects",
)
_OURS: Final = frozenset(  # set by the mirror itself, each for its reason
    {
        *("Bucket", "Key", "Body", "UploadId", "PartNumber", "MultipartUpload", "Delete"),
        *("ContentType", "ContentLength", "ContentMD5", "ContentEncoding", "MpuObjectSize"),
        *("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince", "WriteOffsetBytes"),
        *("Prefix", "Delimiter", "StartAfter", "ContinuationToken", "EncodingType"),
        *(
            "KeyMarker",
            "UploadIdMarker",
            "Range",
            "VersionId",
            "ChecksumAlgorithm",
            "ChecksumMode",
            "ChecksumType",
        ),
        *("IfMatchInitiatedTime", "IfMatchLastModifiedTime", "IfMatchSize", "UploadIdMarker"),
    }
)


def check(name: str, text: str) -> None:
    """See that some call takes the parameter, and that the text can be meant.

    Raises:
        ValueError: with what is allowed.
    """
    known = _known()
    if name not in known:
        ours = name in _OURS or name.startswith("Checksum")
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; do you mean {near[0]!r}?" if near else ""
        why = "the mirror sets it itself" if ours else f"no call to S3 takes {name!r}{hint}"
        raise ValueError(why)
    _meant(known[name], text)


def for_call(call: str, parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return those of the parameters that a call takes, as boto3 wants them: a new mapping."""
    if not parameters:
        return {}  # reading the calls' descriptions takes longer than a call
    taken = _taken(_operation(call))
    return {name: _meant(taken[name], text) for name, text in parameters if name in taken}


@cache
def _operation(call: str) -> OperationModel:
    return botocore.session.get_session().get_service_model("s3").operation_model(call)


@cache
def _known() -> dict[str, Shape]:
    return {name: shape for call in CALLS for name, shape in _taken(_operation(call)).items()}


def _taken(operation: OperationModel) -> dict[str, Shape]:
    shape = operation.input_shape
    members: Iterable[tuple[str, Shape]] = shape.members.items() if shape is not None else ()
    return {
        name: member
        for name, member in members
        if name not in _OURS and not name.startswith("Checksum")
    }


def _meant(shape: Shape, text: str) -> Any:  # noqa: ANN401
    """Convert a text into what the parameter is."""
    value: Any = text
    if shape.type_name in {"integer", "long"}:
        value = values.whole_number(0)(text)
    elif shape.type_name == "boolean":
        value = values.boolean(text)
    elif shape.type_name in {"map", "list", "structure"}:
        try:
            value = json.loads(text)
        except ValueError:
            msg = f"allowed is JSON for a {shape.type_name}"
            raise ValueError(msg) from None
    elif choices := getattr(shape, "enum", None):
        value = values.one_of(*choices)(text)
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise ValueError(report.generate_report())
    return value

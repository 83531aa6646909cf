"""The parameters of S3's operations and their types, from botocore's description of S3.

Does not know a parameter's meaning: parameters that AWS adds work with a newer botocore.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.validate import ParamValidator

from frumious.config import values
from frumious.config.reader import did_you_mean

if TYPE_CHECKING:
    from botocore.model import Shape

OPERATIONS: Final = (
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
    "DeleteObject",
)
_RESERVED: Final = re.compile(  # set by the mirror itself
    "Bucket|Key|Body|UploadId|PartNumber|MultipartUpload|Delete"
    "|ContentType|ContentLength|ContentMD5|ContentEncoding|MpuObjectSize|WriteOffsetBytes"
    "|If(None)?Match|If(Un)?ModifiedSince|IfMatch(InitiatedTime|LastModifiedTime|Size)"
    "|Prefix|Delimiter|StartAfter|ContinuationToken|EncodingType|KeyMarker|UploadIdMarker"
    "|Range|VersionId|Checksum.*"
)


def check(name: str, text: str) -> None:
    """Check a parameter's name, and that its text is a valid value.

    Raises:
        ValueError: with the valid values.
    """
    if _RESERVED.fullmatch(name):
        msg = "the mirror sets it itself"
        raise ValueError(msg)
    shapes = _all_shapes()
    if name not in shapes:
        msg = f"no operation of S3 has the parameter {name!r}{did_you_mean(name, shapes)}"
        raise ValueError(msg)
    _parse(shapes[name], text)


def for_call(operation: str, parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the parameters that an operation accepts, with values for botocore."""
    if not parameters:
        return {}  # loading the description takes longer than a request
    shapes = _shapes(operation)
    return {name: _parse(shapes[name], text) for name, text in parameters if name in shapes}


@cache
def _all_shapes() -> dict[str, Shape]:
    return {name: shape for call in OPERATIONS for name, shape in _shapes(call).items()}


@cache
def _shapes(operation: str) -> dict[str, Shape]:
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    members = model.input_shape.members if model.input_shape is not None else {}
    return {name: shape for name, shape in members.items() if not _RESERVED.fullmatch(name)}


def _parse(shape: Shape, text: str) -> Any:  # noqa: ANN401
    """Convert a text into a value of the parameter's type."""
    value: Any = text
    if shape.type_name in {"integer", "long"}:
        value = values.whole_number(0)(text)
    elif shape.type_name == "boolean":
        value = values.boolean(text)
    elif shape.type_name in {"map", "list", "structure"}:
        try:
            value = json.loads(text)
        except ValueError:
            msg = f"must be JSON of a {shape.type_name}"
            raise ValueError(msg) from None
    elif choices := getattr(shape, "enum", None):
        value = values.one_of(*choices)(text)
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise ValueError(report.generate_report())
    return value

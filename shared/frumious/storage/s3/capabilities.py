"""Which features of S3 a server supports."""

from __future__ import annotations

from frumious.value import Value


class Capabilities(Value, frozen=True):
    """The features that the server supports. By default all: those of AWS, which is not probed."""

    if_none_match: bool = True
    if_match: bool = True
    quoted_etags: bool = True  # If-Match takes etags as the server returns them, in quotes
    signed_sha256: bool = True  # a body with another sha256 than the signed one is refused
    checksums: bool = True  # x-amz-checksum-sha256, and what belongs to it, on every request
    delete_objects: bool = True
    list_uploads: bool = True

"""What S3 servers other than AWS's do differently: each trait is a switch, a maker has some.

docs/storages.md names the sources. The makers are those of the versions that lacked the most.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.servers.recording_proxy import RecordedRequest


class Conditions(Enum):
    """What a server does about If-Match and If-None-Match of a PUT."""

    FORWARDED = auto()
    IGNORED = auto()
    REFUSED = auto()  # 501
    UNQUOTED = auto()  # an ETag in quotes never matches


class Checksums(Enum):
    """The requests on which a server refuses checksum headers."""

    NOWHERE = auto()
    EVERYWHERE = auto()
    PUT = auto()
    HEAD = auto()
    CREATE = auto()  # of a multipart upload
    PARTS = auto()


@dataclass(frozen=True, slots=True)
class Traits:
    """A server's traits; without any it is like AWS, except that it verifies no checksum."""

    conditions: Conditions = Conditions.FORWARDED
    refused_checksums: Checksums = Checksums.NOWHERE
    checksum_status: int = 400
    delete_objects_status: int = 200  # or that of its refusal
    wants_md5: bool = False  # with DeleteObjects, and no other checksum
    missing_status: int = 404  # of objects
    verifies_sha256: bool = False  # of the signature
    lists_uploads: bool = True

    def refusal(self, request: RecordedRequest, body: bytes) -> tuple[int, str] | None:
        """Return the status and the error code with which the server refuses a request."""
        headers, query = request.headers, request.query
        deletes = request.method == "POST" and query == "delete"
        lists_uploads = request.method == "GET" and query.startswith("uploads")
        delete_status = self.delete_objects_status
        sha256 = hashlib.sha256(body).hexdigest()
        is_right = headers.get("x-amz-content-sha256", sha256) in {sha256, "UNSIGNED-PAYLOAD"}
        refuses_conditions = self.conditions is Conditions.REFUSED
        refusals = (
            (refuses_conditions and {"if-match", "if-none-match"} & set(headers), 501, ""),
            (self._refuses_checksums(request), self.checksum_status, "InvalidArgument"),
            (deletes and delete_status != HTTPStatus.OK, delete_status, ""),
            (deletes and self.wants_md5 and "content-md5" not in headers, 400, "MissingContentMD5"),
            (lists_uploads and not self.lists_uploads, 501, ""),
            (self.verifies_sha256 and not is_right, 400, "XAmzContentSHA256Mismatch"),
        )
        return next(
            ((status, code or "NotImplemented") for applies, status, code in refusals if applies),
            None,
        )

    def _refuses_checksums(self, request: RecordedRequest) -> bool:
        if not any("checksum" in name for name in request.headers):
            return False
        match self.refused_checksums:
            case Checksums.NOWHERE | Checksums.EVERYWHERE:
                return self.refused_checksums is Checksums.EVERYWHERE
            case Checksums.PUT:
                return request.method == "PUT" and not request.query
            case Checksums.HEAD:
                return request.method == "HEAD"
            case Checksums.CREATE:
                return request.method == "POST" and request.query == "uploads"
            case Checksums.PARTS:
                return "partNumber" in request.query


LIKE_AWS: Final = Traits()
ALL_AT_ONCE: Final = Traits(
    Conditions.IGNORED,
    Checksums.EVERYWHERE,
    delete_objects_status=405,
    missing_status=403,
    lists_uploads=False,
)
MAKERS: Final = {
    "alibaba_oss": Traits(Conditions.REFUSED),
    "backblaze_b2": Traits(Conditions.REFUSED, Checksums.EVERYWHERE, wants_md5=True),
    "ceph_rgw": Traits(Conditions.UNQUOTED),
    "cloudflare_r2": Traits(
        refused_checksums=Checksums.PARTS, checksum_status=501, verifies_sha256=True
    ),
    "google_cloud_storage": Traits(
        Conditions.IGNORED, Checksums.EVERYWHERE, checksum_status=403, delete_objects_status=400
    ),
    "minio": Traits(wants_md5=True, verifies_sha256=True),
    "oracle": Traits(Conditions.IGNORED, wants_md5=True),
    "ovh": Traits(Conditions.IGNORED, Checksums.EVERYWHERE, wants_md5=True),
    "riak_cs": Traits(
        Conditions.IGNORED, Checksums.EVERYWHERE, checksum_status=501, delete_objects_status=405
    ),
    "seaweedfs": Traits(Conditions.IGNORED),
}

"""Requests to S3 are signed as botocore signs them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from frumious.storage.s3.signature import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGINS = st.sampled_from(
    [
        *("https://bucket.s3.eu-central-1.amazonaws.com", "https://s3.example:443/bucket"),
        *("http://127.0.0.1:9000/bucket", "http://[::1]:9000", "http://S3.example:80"),
    ]
)
KEYS = st.text(min_size=1).map(lambda text: quote(text.encode(errors="replace"), safe="/-_.~"))
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Cache-Control", "Content-Length", "If-Match", "x-amz-tag"]),
    VALUES,
)
SHA256 = hashlib.sha256(b"body").hexdigest()


class PayloadHash(S3SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return SHA256


def by_botocore(
    method: str, url: str, headers: Mapping[str, str], credentials: ReadOnlyCredentials
) -> dict[str, str]:
    request = AWSRequest(method, url, headers=headers)
    PayloadHash(credentials, "s3", "eu-central-1").add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


@given(
    method=st.sampled_from(["GET", "PUT"]),
    origin=ORIGINS,
    key=KEYS,
    headers=HEADERS,
    token=st.sampled_from([None, "token/+="]),
)
def test_signatures_are_those_of_botocore(
    method: str, origin: str, key: str, headers: dict[str, str], token: str | None
) -> None:
    credentials = ReadOnlyCredentials("id", "secret", token)
    url = f"{origin}/{key}"
    expected = by_botocore(method, url, headers, credentials)
    now = datetime.strptime(expected["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    assert sign(method, url, headers, SHA256, "eu-central-1", credentials, now) == expected

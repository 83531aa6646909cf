"""A bucket in moto, read without the mirror's own storage code."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import boto3

from localcloud.stack import REGION

# moto requires credentials and accepts any.
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=reader/20260101/us-east-1/s3/aws4_request"


@dataclass(frozen=True, slots=True)
class StoredObject:
    body: bytes
    etag: str


class Bucket:
    """Reads one bucket over one connection; for one thread."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        parts = urlsplit(endpoint)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._bucket = bucket

    def get(self, key: str) -> StoredObject | None:
        self._connection.request(
            "GET", f"/{self._bucket}/{quote(key)}", headers={"Authorization": _AUTHORIZATION}
        )
        response = self._connection.getresponse()
        body = response.read()
        if response.status == http.HTTPStatus.NOT_FOUND:
            return None
        if response.status != http.HTTPStatus.OK:
            msg = f"moto answers {response.status} for {key}: {body[:200]!r}"
            raise RuntimeError(msg)
        return StoredObject(body, response.headers["ETag"])

    def close(self) -> None:
        self._connection.close()


class OwnBucket(Bucket):
    """A bucket that is created here, and can be read whole."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        super().__init__(endpoint, bucket)
        self.s3 = boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self.s3.create_bucket(Bucket=bucket)

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self._bucket, Key=key, Body=body)

    def etags(self) -> dict[str, str]:
        """Return the ETag of every object by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}

    def contents(self) -> dict[str, bytes]:
        """Return every object outside `state/` by key."""
        keys = [key for key in self.etags() if not key.startswith("state/")]
        found = {key: self.get(key) for key in keys}
        return {key: stored.body for key, stored in found.items() if stored is not None}

    def close(self) -> None:
        super().close()
        self.s3.close()

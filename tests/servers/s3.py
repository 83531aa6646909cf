"""The address and credentials of an S3 server."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config as BotoConfig

from frumious.config import loading

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from frumious.config.settings import Config


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server, and the configuration of mirrors on it."""

    endpoint: str
    key_id: str
    secret: str
    region: str = "us-east-1"

    def client(self) -> S3Client:
        """Return a new client."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
            region_name=self.region,
            config=BotoConfig(
                request_checksum_calculation="when_required", s3={"addressing_style": "path"}
            ),
        )
        return client

    def bucket(self) -> str:
        """Create an empty bucket, and return its name."""
        name = f"mirror-{uuid.uuid4()}"
        self.client().create_bucket(Bucket=name)
        return name

    def config(self, options: str = "", *, mirror: str = "") -> Config:
        """Return the configuration of a mirror in a new bucket.

        `options` are lines of [s3], `mirror` lines of [mirror].
        """
        text = (
            f"[mirror]\nstorage-backend = s3\ndirectory = /{self.bucket()}/some/prefix\n{mirror}\n"
            f"[s3]\nendpoint_url = {self.endpoint}\nregion_name = {self.region}\n"
            f"aws_access_key_id = {self.key_id}\naws_secret_access_key = {self.secret}\n{options}\n"
        )
        return loading.parse(text, {})

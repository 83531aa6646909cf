"""One file into S3 as it arrives: a PUT signed with the sha256 that upstream published.

S3 compares the signed hash with the bytes that it gets, and refuses others. Nothing is held in
memory but the chunk under way.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import RefreshableCredentials
from botocore.handlers import sse_md5
from botocore.serialize import create_serializer
from botocore.utils import get_environ_proxies

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import StorageRefused, StorageUnavailable, refusal
from frumious.storage.streamed_put import PutClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import boto3
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3.client import S3Client

    from frumious.config.settings import Config
    from frumious.storage.threads import ThreadPool

_OTHER_BYTES = ("XAmzContentSHA256Mismatch", "BadDigest")
_SLOW_BODY = "<Code>RequestTimeout</Code>"  # a 400, though it passes


class SignedPut:
    """Sends files to one bucket, over one session."""

    def __init__(
        self, config: Config, client: S3Client, session: boto3.Session, threads: ThreadPool
    ) -> None:
        self._threads = threads
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._bucket = config.bucket
        self._bucket_address = _bucket_address(client, config.bucket)
        self._operation = client.meta.service_model.operation_model("PutObject")
        self._serializer = create_serializer("rest-xml", include_validation=False)
        # As boto3 goes, with the rest of what is asked of S3.
        proxies = get_environ_proxies(self._bucket_address)
        self._proxy = proxies.get(urlsplit(self._bucket_address).scheme)
        self._client = PutClient("S3", timeout=config.timeout, global_timeout=config.global_timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        options: Mapping[str, Any],
        *,
        sha256: str,
        size: int,
    ) -> None:
        """Write `size` bytes with that sha256 as the object at `key`, the bucket's whole key.

        `options` are PutObject's parameters, as boto3 takes them.

        Raises:
            WrongBytes: S3 found other bytes than the signed ones, or `chunks` did.
            StorageUnavailable: S3 did not answer, or refused for now.
            StorageRefused: S3 will not take the object.
        """
        url = self._bucket_address + quote(key, safe="/-_.~")
        signed = await self._sign(url, self._headers(key, options, sha256, size), sha256)
        response = await self._client.put(
            url, chunks, signed, size=size, name=repr(key), proxy=self._proxy
        )
        if response.status == HTTPStatus.OK:
            return
        msg = f"S3 answers {response.status} for {key!r}: {response.text:.300}"
        if any(code in response.text for code in _OTHER_BYTES):
            raise WrongBytes(msg)
        if _SLOW_BODY in response.text:
            raise StorageUnavailable(msg)
        raise refusal(response.status, msg)

    def _headers(
        self, key: str, options: Mapping[str, Any], sha256: str, size: int
    ) -> dict[str, str]:
        """Let boto3's own description of the call turn its parameters into headers."""
        params = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentLength": size,
            "ChecksumAlgorithm": "SHA256",  # some keep the checksum only then
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            **options,
        }
        sse_md5(params)
        request = self._serializer.serialize_to_request(params, self._operation)
        return {name: str(value) for name, value in request["headers"].items()}

    async def _sign(self, url: str, headers: Mapping[str, str], sha256: str) -> dict[str, str]:
        request = AWSRequest("PUT", url, headers=headers)
        if self._credentials is None:  # they were there when the session was opened
            msg = "the AWS credentials are gone"
            raise StorageRefused(msg)
        if isinstance(self._credentials, RefreshableCredentials):
            # They may be asked for anew, which takes a while.
            credentials = await self._threads.run(
                self._credentials.get_frozen_credentials, read_only=True
            )
        else:
            credentials = self._credentials.get_frozen_credentials()
        _KnownPayload(credentials, self._region, sha256).add_auth(request)
        return dict(request.headers.items())


class _KnownPayload(S3SigV4Auth):
    """Signature V4 over a body whose sha256 is known before the body is."""

    def __init__(self, credentials: ReadOnlyCredentials, region: str, sha256: str) -> None:
        super().__init__(credentials, "s3", region)
        self._sha256 = sha256

    def payload(self, _request: AWSRequest) -> str:
        return self._sha256


def _bucket_address(client: S3Client, bucket: str) -> str:
    """Let boto3 say where the bucket is: virtual host or path, region, endpoint."""
    signed = client.generate_presigned_url("head_bucket", Params={"Bucket": bucket})
    scheme, host, path, _, _ = urlsplit(signed)
    return urlunsplit((scheme, host, path.rstrip("/") + "/", "", ""))

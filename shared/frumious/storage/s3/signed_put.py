"""A streamed PUT to S3, signed with the sha256 that upstream published.

S3 refuses a body with another sha256 than the signed one.
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

_WRONG_BYTES = ("XAmzContentSHA256Mismatch", "BadDigest")
_TIMED_OUT = "<Code>RequestTimeout</Code>"  # has the status 400, but is temporary


class SignedPut:
    """Uploads files to one bucket over one session."""

    def __init__(
        self, config: Config, client: S3Client, session: boto3.Session, threads: ThreadPool
    ) -> None:
        self._threads = threads
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._bucket = config.bucket
        self._bucket_url = _find_bucket_url(client, config.bucket)
        self._operation = client.meta.service_model.operation_model("PutObject")
        self._serializer = create_serializer("rest-xml", include_validation=False)
        # The proxy that boto3 uses for all other requests.
        proxies = get_environ_proxies(self._bucket_url)
        self._proxy = proxies.get(urlsplit(self._bucket_url).scheme)
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
        """Upload `size` bytes with this sha256 to `key`, which includes the mirror's prefix.

        `options` are the parameters of boto3's PutObject.

        Raises:
            WrongBytes: the body has another sha256 or size.
            StorageUnavailable: S3 did not respond, or refused for now.
            StorageRefused: S3 refuses the object.
        """
        url = self._bucket_url + quote(key, safe="/-_.~")
        headers = await self._sign(url, self._headers(key, options, sha256, size), sha256)
        response = await self._client.put(
            url, chunks, headers, size=size, name=repr(key), proxy=self._proxy
        )
        if response.status == HTTPStatus.OK:
            return
        msg = f"S3 responds {response.status} for {key!r}: {response.text:.300}"
        if any(code in response.text for code in _WRONG_BYTES):
            raise WrongBytes(msg)
        if _TIMED_OUT in response.text:
            raise StorageUnavailable(msg)
        raise refusal(response.status, msg)

    def _headers(
        self, key: str, options: Mapping[str, Any], sha256: str, size: int
    ) -> dict[str, str]:
        """Serialize the parameters of PutObject into headers, as boto3 does."""
        params = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentLength": size,
            "ChecksumAlgorithm": "SHA256",  # without it some servers do not store the checksum
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            **options,
        }
        sse_md5(params)
        request = self._serializer.serialize_to_request(params, self._operation)
        return {name: str(value) for name, value in request["headers"].items()}

    async def _sign(self, url: str, headers: Mapping[str, str], sha256: str) -> dict[str, str]:
        request = AWSRequest("PUT", url, headers=headers)
        if self._credentials is None:  # which existed when the session was opened
            msg = "the AWS credentials are no longer available"
            raise StorageRefused(msg)
        if isinstance(self._credentials, RefreshableCredentials):
            # It may request new ones, which blocks.
            credentials = await self._threads.run(
                self._credentials.get_frozen_credentials, read_only=True
            )
        else:
            credentials = self._credentials.get_frozen_credentials()
        _PayloadHashAuth(credentials, self._region, sha256).add_auth(request)
        return dict(request.headers.items())


class _PayloadHashAuth(S3SigV4Auth):
    """Signature V4 of a body that has not arrived yet, by its sha256."""

    def __init__(self, credentials: ReadOnlyCredentials, region: str, sha256: str) -> None:
        super().__init__(credentials, "s3", region)
        self._sha256 = sha256

    def payload(self, _request: AWSRequest) -> str:
        return self._sha256


def _find_bucket_url(client: S3Client, bucket: str) -> str:
    """Return the URL that boto3 uses for the bucket: virtual host or path, region, endpoint."""
    signed = client.generate_presigned_url("head_bucket", Params={"Bucket": bucket})
    scheme, host, path, _, _ = urlsplit(signed)
    return urlunsplit((scheme, host, path.rstrip("/") + "/", "", ""))

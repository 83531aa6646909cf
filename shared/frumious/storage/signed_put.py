"""One file into S3 as it arrives: a PUT signed with the sha256 that upstream published.

S3 compares the signed hash with the bytes that it gets, and refuses others. Nothing is held in
memory but the chunk under way.
"""

from __future__ import annotations

import asyncio
import base64
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from yarl import URL

from frumious.storage.protocol import StorageUnavailable, refusal
from frumious.verify import WrongBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from botocore.credentials import Credentials, ReadOnlyCredentials
    from mypy_boto3_s3.client import S3Client

    from frumious.config import Config
    from frumious.layout import Headers


class SignedPut:
    """Sends files to one bucket, over one session."""

    def __init__(self, config: Config, client: S3Client, credentials: Credentials) -> None:
        self._credentials = credentials
        self._region = client.meta.region_name
        self._bucket_address = _bucket_address(client, config.bucket)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=config.global_timeout, connect=config.timeout, sock_read=None
            )
        )

    async def close(self) -> None:
        """Close the session's connections."""
        await self._session.close()

    async def send(
        self, key: str, chunks: AsyncIterator[bytes], headers: Headers, *, sha256: str, size: int
    ) -> None:
        """Write `size` bytes with that sha256 as the object at `key`, the bucket's whole key.

        Raises:
            WrongBytes: S3 found other bytes than the signed ones, or `chunks` did.
            StorageUnavailable: S3 did not answer, or refused for now.
            StorageRefused: S3 will not take the object.
        """
        url = self._bucket_address + quote(key, safe="/-_.~")
        source = _Source(chunks)
        signed = self._sign(url, headers, sha256, size)
        try:
            async with self._session.put(
                URL(url, encoded=True), headers=signed, data=source.read()
            ) as answer:
                said = await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            if source.error is not None:
                raise source.error from None
            msg = f"S3 did not take {key!r}: {str(error) or type(error).__name__}"
            raise StorageUnavailable(msg) from error
        finally:
            await source.stopped.wait()
        if source.error is not None:
            raise source.error
        if answer.status == HTTPStatus.OK:
            return
        msg = f"S3 answers {answer.status} for {key!r}: {said:.300}"
        if "XAmzContentSHA256Mismatch" in said:
            raise WrongBytes(msg)
        raise refusal(answer.status, msg)

    def _sign(self, url: str, headers: Headers, sha256: str, size: int) -> dict[str, str]:
        request = AWSRequest(
            "PUT",
            url,
            headers={
                "Content-Length": str(size),
                "Content-Type": headers.content_type,
                "x-amz-sdk-checksum-algorithm": "SHA256",  # some keep the checksum only then
                "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
                **({"Cache-Control": headers.cache_control} if headers.cache_control else {}),
            },
        )
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


class _Source:
    """The chunks, as aiohttp's writer takes them.

    Remembers why they ended early, which aiohttp wraps in an error of its own, and whether they
    are at rest: the writer is told to stop when the request is over, and stops a little later.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.error: Exception | None = None
        self.stopped = asyncio.Event()
        self.stopped.set()
        self._chunks = chunks

    async def read(self) -> AsyncIterator[bytes]:
        self.stopped.clear()
        try:
            async for chunk in self._chunks:
                yield chunk
        except Exception as error:
            self.error = error
            raise
        finally:
            self.stopped.set()


def _bucket_address(client: S3Client, bucket: str) -> str:
    """Let boto3 say where the bucket is: virtual host or path, region, endpoint."""
    signed = client.generate_presigned_url("head_bucket", Params={"Bucket": bucket})
    scheme, host, path, _, _ = urlsplit(signed)
    return urlunsplit((scheme, host, path.rstrip("/") + "/", "", ""))

"""A streamed PUT to S3, signed with the sha256 that upstream published.

S3 refuses a body with another sha256 than the signed one.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import re
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import urllib3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import sse_md5
from botocore.serialize import create_serializer
from botocore.utils import get_environ_proxies

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import StorageRefused, StorageUnavailable
from frumious.storage.s3.errors import error_for, no_credentials
from frumious.storage.s3.session import is_amazon
from frumious.storage.s3.signature import sign
from frumious.storage.streamed_put import PutClient
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from botocore.awsrequest import AWSPreparedRequest
    from botocore.session import Session
    from mypy_boto3_s3.client import S3Client

    from frumious.config.settings import Config
    from frumious.storage.streamed_put import PutResponse
    from frumious.storage.threads import ThreadPool

logger = logging.getLogger(__name__)

MAX_WHOLE: Final = 256 * 1024  # bytes of a body that is sent in one piece
_PAUSE: Final = 60  # seconds in which botocore makes all requests after one that failed here
_CODE: Final = re.compile("<Code>([^<]*)</Code>")
_WRONG_BYTES: Final = frozenset({"XAmzContentSHA256Mismatch", "BadDigest", "InvalidDigest"})
# How S3 refuses a request to another region than the bucket's: regions launched before March 20,
# 2019 redirect it, later ones respond 400 ("Request routing" in the S3 API reference).
_REDIRECTS: Final = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.TEMPORARY_REDIRECT,
)
_WRONG_REGION: Final = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)


class Target(Value, frozen=True):
    """The address of the bucket, which ends in a slash, and the region to sign for."""

    url: str
    region: str


class NotWritten(Exception):
    """The object may have been written, or not: botocore writes it."""


class SignedPut:
    """Uploads files to one bucket over one session."""

    def __init__(
        self, config: Config, client: S3Client, session: Session, threads: ThreadPool
    ) -> None:
        self._threads = threads
        self._is_possible = config.s3.signature_version in {None, "s3v4"}
        self._paused_until = 0.0  # by time.monotonic()
        self._credentials = session.get_credentials()
        self._bucket = config.bucket
        self._s3 = client
        self.target = _find_target(client, config.bucket)
        self._target_lock = asyncio.Lock()
        self._operation = client.meta.service_model.operation_model("PutObject")
        self._serializer = create_serializer("rest-xml", include_validation=False)
        # The proxy that botocore uses for all other requests.
        proxies = get_environ_proxies(self.target.url)
        self.proxy = proxies.get(urlsplit(self.target.url).scheme)
        self._client = PutClient("S3", timeout=config.timeout, global_timeout=config.global_timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def is_ready(self) -> bool:
        """Whether requests for whole objects are likely to succeed without botocore."""
        return self._is_possible and time.monotonic() >= self._paused_until

    def pause(self) -> None:
        """Let botocore make the requests for whole objects for a while."""
        self._paused_until = time.monotonic() + _PAUSE

    async def write(self, key: str, body: bytes, options: Mapping[str, Any]) -> str:
        """Write an object of up to `MAX_WHOLE` bytes as a whole; return its ETag.

        It knows three answers. After any other, botocore makes the request, and others for a while:
        it retries, follows redirects, and limits its rate.

        Raises:
            NotWritten: S3 gave another answer, or none.
            Conflict, NoSuchObject: a condition in `options` does not hold.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            return await self.send(key, body, options, sha256=sha256, size=len(body))
        except (StorageUnavailable, StorageRefused, WrongBytes) as error:
            logger.debug("botocore writes %r, as %s", key, error)
        self.pause()
        raise NotWritten

    async def send(
        self,
        key: str,
        body: bytes | AsyncIterator[bytes],
        options: Mapping[str, Any],
        *,
        sha256: str,
        size: int,
    ) -> str:
        """Upload `size` bytes with this sha256 to `key`, which includes the mirror's prefix.

        `options` are the parameters of botocore's PutObject. Returns the ETag.

        Raises:
            Conflict, NoSuchObject: a condition in `options` does not hold.
            WrongBytes: the body has another sha256 or size.
            StorageUnavailable: S3 did not respond, or refused for now.
            StorageRefused: S3 refuses the object.
        """
        target = self.target
        url = target.url + quote(key, safe="/-_.~")
        headers = self._headers(key, options, size)
        headers = await self.sign("PUT", url, headers, sha256, target.region)
        if isinstance(body, bytes):
            response = await self._client.put_whole(
                url, body, headers, name=repr(key), proxy=self.proxy
            )
        else:
            response = await self._client.put(
                url, body, headers, size=size, name=repr(key), proxy=self.proxy
            )
        if response.status == HTTPStatus.OK and "ETag" in response.headers:
            return response.headers["ETag"]
        msg = f"S3 responds {response.status} for {key!r}: {' '.join(response.text.split()):.300}"
        found = _CODE.search(response.text)
        code = found[1] if found is not None else ""
        if code in _WRONG_BYTES:
            raise WrongBytes(msg)
        # The body cannot be sent a second time; the caller starts anew.
        if response.status in _REDIRECTS or code in _WRONG_REGION:
            await self._find_region(response)
            if self.target != target:
                raise StorageUnavailable(msg)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:  # something else than S3 responds
            raise StorageUnavailable(msg)
        raise error_for(response.status, code, msg)

    async def sign(
        self, method: str, url: str, headers: Mapping[str, str], sha256: str, region: str
    ) -> dict[str, str]:
        """Return the headers of a request whose body has this sha256, with its signature.

        Raises:
            StorageUnavailable: credentials that have expired cannot be renewed.
        """
        if self._credentials is None:  # which existed when the session was opened
            msg = "the AWS credentials are no longer available"
            raise StorageRefused(msg)
        try:
            if isinstance(self._credentials, RefreshableCredentials):
                # It may request new ones, which blocks.
                credentials = await self._threads.run(
                    self._credentials.get_frozen_credentials, read_only=True
                )
            else:
                credentials = self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise no_credentials(error) from error
        return sign(method, url, headers, sha256, region, credentials, datetime.now(UTC))

    def _headers(self, key: str, options: Mapping[str, Any], size: int) -> dict[str, str]:
        """Serialize the parameters of PutObject into headers, as botocore does."""
        params = {"Bucket": self._bucket, "Key": key, "ContentLength": size, **options}
        sse_md5(params)
        request = self._serializer.serialize_to_request(params, self._operation)
        return {name: str(value) for name, value in request["headers"].items()}

    async def _find_region(self, response: PutResponse) -> None:
        """Find out the bucket's region, as botocore does for its own requests.

        botocore follows redirects, and remembers the region. HeadBucket is redirected as well; only
        a server that reports regions is asked, because botocore never ends at another one.
        """
        reports_region = is_amazon(self._s3) or "x-amz-bucket-region" in response.headers

        def find() -> Target:
            if reports_region:
                try:
                    self._s3.head_bucket(Bucket=self._bucket)
                except (BotoCoreError, ClientError) as error:
                    logger.debug("HeadBucket fails: %s", error)
            return _find_target(self._s3, self._bucket)

        async with self._target_lock:
            target = await self._threads.run(find, read_only=True)
            if target != self.target:
                logger.warning(
                    "the bucket %r is in %s, not in %s; set region_name in [s3]",
                    self._bucket,
                    target.region,
                    self.target.region,
                )
            self.target = target


def _find_target(client: S3Client, bucket: str) -> Target:
    """Return where botocore itself sends requests for the bucket: virtual host or path, endpoint.

    A presigned URL does not show it: botocore builds those for S3's global endpoint, which only
    us-east-1 and, for buckets older than a day, regions launched before March 20, 2019 serve
    ("Virtual hosting of general purpose buckets" in the S3 user guide).
    """
    target = Target("", client.meta.region_name)

    def intercept(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        nonlocal target
        scheme, host, path, _query, _fragment = urlsplit(request.url)
        authorization = str(request.headers.get("Authorization"))  # may be bytes
        scope = re.search("Credential=[^/]+/[^/]+/([^/]+)/", authorization)
        region = scope[1] if scope is not None else target.region
        target = Target(urlunsplit((scheme, host, path.rstrip("/") + "/", "", "")), region)
        body = urllib3.HTTPResponse(io.BytesIO(), preload_content=False)
        return AWSResponse(request.url, HTTPStatus.OK, HTTPHeaders(), body)

    events: Any = client.meta.events  # a response that a handler returns is used as the server's
    events.register("before-send.s3.HeadBucket", intercept)
    try:
        client.head_bucket(Bucket=bucket)
    finally:
        events.unregister("before-send.s3.HeadBucket", intercept)
    return target

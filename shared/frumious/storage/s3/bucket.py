"""Calls of botocore to one bucket: adds the configured parameters, counts them, maps errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from frumious.config.s3_parameters import for_call
from frumious.model.headers import headers_of
from frumious.storage.protocol import StorageRefused, StorageUnavailable
from frumious.storage.s3.errors import NoSuchObject, error_for, no_credentials
from frumious.storage.s3.session import CONNECTIONS, is_amazon, open_client, open_session
from frumious.storage.s3.signed_get import SignedGet
from frumious.storage.s3.signed_put import SignedPut
from frumious.storage.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_s3.type_defs import MultipartUploadTypeDef, ObjectTypeDef

    from frumious.config.settings import Config
    from frumious.model.types import Key

T = TypeVar("T")

logger = logging.getLogger(__name__)

_HIDING_MISSING: Final[set[str]] = set()  # endpoints for which the log says so


class Bucket:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self.name = config.bucket
        self.prefix = f"{config.prefix}/" if config.prefix else ""
        self.requests = 0
        self.server = ""  # as its last response names it
        self.date = ""  # of that response
        self.timeout = config.timeout  # seconds
        self.threads = ThreadPool(CONNECTIONS, limit=config.global_timeout, grace=config.timeout)
        self._parameters = config.s3.parameters
        session = open_session(config.s3)
        try:
            self.client = open_client(session, config.s3, timeout=config.timeout)
            self.signed_put = SignedPut(config, self.client, session, self.threads)
        except (BotoCoreError, ClientError) as error:
            msg = f"cannot open the bucket {self.name!r}: {error}"
            raise StorageRefused(msg) from error
        self.is_amazon = config.s3.is_aws or is_amazon(self.client)
        self.signed_get = SignedGet(config, self.signed_put, checksums=self.is_amazon)
        self.endpoint = self.client.meta.endpoint_url
        self.client.meta.events.register("before-send.s3", self._before_send)
        self.client.meta.events.register("after-call.s3", self._after_call)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.signed_get.aclose()
        await self.signed_put.aclose()
        self.client.close()
        self.threads.close()

    def options(self, call: str, key: Key | None = None, **metadata: str) -> dict[str, Any]:
        """Return the parameters of a call: the configured ones, and an object's headers."""
        options = for_call(call, self._parameters)
        if key is not None:
            options = {**_headers(key), **options}
        if metadata:
            options = {**options, "Metadata": {**options.get("Metadata", {}), **metadata}}
        return options

    async def run(self, call: Callable[[], T], key: str, *, read_only: bool = False) -> T:
        """Make a botocore call in a thread.

        A caller that is cancelled leaves a `read_only` call at once.

        Raises:
            NoSuchObject: there is no object with this key.
            Conflict: a condition of the call does not hold.
            StorageUnavailable: S3 did not respond, or refused for now.
            StorageRefused: S3 refuses the call.
        """
        try:
            target = f"{key!r} in {self.name!r}"
            return await self.threads.run(call, read_only=read_only, target=target)
        except ClientError as error:
            if error.operation_name.startswith("AssumeRole"):
                raise no_credentials(error) from error
            details = error.response.get("Error", {})
            code = details.get("Code", "")
            msg = f"S3 responds {code} for {key!r} in {self.name!r}: {details.get('Message')}"
            if code == "NoSuchBucket":
                msg = f"there is no bucket {self.name!r}: create it, or correct directory"
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise error_for(status, code, msg) from error
        except BotoCoreError as error:
            msg = f"cannot reach S3 for {key!r} in {self.name!r}: {error}"
            raise StorageUnavailable(msg) from error
        except (ResponseParserError, HTTPError, KeyError) as error:
            # XML that is none, a body that broke off, or a header that is missing.
            msg = f"S3's response for {key!r} in {self.name!r} is not valid: {error!r:.300}"
            raise StorageUnavailable(msg) from error

    async def find(self, call: Callable[[], T], key: str) -> T | None:
        """Make a botocore call that reads an object; return None if there is none.

        Some servers respond 403 for a missing object, as AWS does without the permission to list.
        The response to a HEAD does not give the reason for a 400 or 403. A listing has both.
        """
        try:
            return await self.run(call, key, read_only=True)
        except NoSuchObject:
            return None
        except StorageRefused as error:
            if await self._is_listed(key):
                raise
            if self.endpoint not in _HIDING_MISSING:
                _HIDING_MISSING.add(self.endpoint)
                logger.info("%s refuses to read missing objects: %s", self.endpoint, error)
            return None

    async def list_uploads(self, prefix: str) -> list[MultipartUploadTypeDef]:
        """Return the multipart uploads that are under way to keys with a prefix."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.name, Prefix=self.prefix + prefix, **self.options("ListMultipartUploads")
        )
        return await self.run(
            lambda: [upload for page in pages for upload in page.get("Uploads", ())],
            prefix,
            read_only=True,
        )

    async def _is_listed(self, key: str) -> bool:
        name = self.prefix + key
        options = {**self.options("ListObjectsV2"), "Prefix": name, "MaxKeys": 1}
        page = await self.run(
            lambda: self.client.list_objects_v2(Bucket=self.name, **options), key, read_only=True
        )
        return any(entry["Key"] == name for entry in self.listed(page))

    def listed(self, page: Mapping[str, Any]) -> Sequence[ObjectTypeDef]:
        """Return the objects of a page of a listing.

        Raises:
            StorageUnavailable: it is none, but a response that broke off, or another one.
        """
        if "IsTruncated" not in page:
            msg = f"{self.endpoint} responds to a listing of {self.name!r} with something else"
            raise StorageUnavailable(msg)
        objects: Sequence[ObjectTypeDef] = page.get("Contents", ())
        return objects

    def _before_send(self, **_: object) -> None:
        self.threads.check_cancelled()  # botocore would retry for nobody
        self.requests += 1

    def _after_call(self, parsed: dict[str, Any], **_: object) -> None:
        headers = parsed["ResponseMetadata"]["HTTPHeaders"]
        self.server, self.date = headers.get("server", ""), headers.get("date", "")


def _headers(key: Key) -> dict[str, Any]:
    wanted = headers_of(key)
    headers = {
        "ContentType": wanted.content_type,
        "CacheControl": wanted.cache_control,
        "ContentEncoding": wanted.content_encoding,
    }
    return {name: value for name, value in headers.items() if value is not None}

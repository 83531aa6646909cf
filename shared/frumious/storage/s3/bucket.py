"""boto3's calls to one bucket: with what is configured, counted, their errors named."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from frumious.config.s3_parameters import for_call
from frumious.model import layout
from frumious.storage.protocol import Conflict, StorageRefused, StorageUnavailable, refusal
from frumious.storage.s3.session import CONNECTIONS, is_amazon, open_client, open_session
from frumious.storage.s3.signed_put import SignedPut
from frumious.storage.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.config.settings import Config
    from frumious.model.types import Key

T = TypeVar("T")

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404"})


class NoSuchObject(Exception):
    """There is nothing at the key."""


class Bucket:
    """One bucket, or a prefix of one."""

    def __init__(self, config: Config) -> None:
        self.name = config.bucket
        self.prefix = f"{config.prefix}/" if config.prefix else ""
        self.requests = 0
        self.threads = ThreadPool(CONNECTIONS)
        self._parameters = config.s3.parameters
        session = open_session(config.s3)
        try:
            self.client = open_client(session, config.s3, timeout=config.timeout)
            self.signed_put = SignedPut(config, self.client, session, self.threads)
        except (BotoCoreError, ClientError) as error:
            msg = f"the bucket {self.name!r} cannot be opened: {error}"
            raise StorageRefused(msg) from error
        self.is_amazon = config.s3.is_aws or is_amazon(self.client)
        self.endpoint = self.client.meta.endpoint_url
        self.client.meta.events.register("before-send.s3", self._before_send)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.signed_put.aclose()
        self.client.close()
        self.threads.close()

    def options(self, call: str, key: Key | None = None, **metadata: str) -> dict[str, Any]:
        """Return what a call is made with: for an object's headers, and as configured."""
        options = for_call(call, self._parameters)
        if key is not None:
            options = {**_headers(key), **options}
        if metadata:
            options = {**options, "Metadata": {**options.get("Metadata", {}), **metadata}}
        return options

    async def do(self, call: Callable[[], T], key: str, *, read_only: bool = False) -> T:
        """Make a boto3 call in a thread.

        A caller that is cancelled leaves a `read_only` call at once.

        Raises:
            NoSuchObject: there is none at `key`.
            Conflict: a condition does not hold.
            StorageUnavailable: S3 did not answer, or refused for now.
            StorageRefused: S3 will not do it.
        """
        try:
            return await self.threads.run(call, read_only=read_only)
        except ClientError as error:
            said = error.response["Error"]
            code = said.get("Code", "")
            msg = f"S3 answers {code} for {key!r} in {self.name!r}: {said.get('Message')}"
            if code in _LOST:
                raise Conflict(msg) from error
            if code in _MISSING:
                raise NoSuchObject(msg) from error
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == HTTPStatus.NOT_IMPLEMENTED:
                raise StorageRefused(msg) from error
            raise refusal(status, msg) from error
        except BotoCoreError as error:
            msg = f"S3 cannot be asked for {key!r} in {self.name!r}: {error}"
            raise StorageUnavailable(msg) from error

    def _before_send(self, **_: object) -> None:
        self.threads.check_cancelled()  # boto3 would retry for nobody
        self.requests += 1


def _headers(key: Key) -> dict[str, Any]:
    said = layout.headers(key)
    headers = {"ContentType": said.content_type}
    return {**headers, "CacheControl": said.cache_control} if said.cache_control else headers

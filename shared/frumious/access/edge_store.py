"""The CloudFront KeyValueStore that the stack's edge function reads: one for all that it needs.

A function can have one store, which has 5 MB, keys of 512 bytes and values of 1 KB ("Quotas on key
value stores" in the CloudFront developer guide).
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, MissingDependencyException

from frumious.aws import open_client
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_cloudfront_keyvaluestore.client import CloudFrontKeyValueStoreClient

_ARN: Final = re.compile(r"arn:aws:cloudfront::\d{12}:key-value-store/[0-9A-Fa-f-]{36}")
_PAGE: Final = 50  # the maximum of ListKeys
_ATTEMPTS: Final = 5


class EdgeStoreError(FrumiousError):
    """The store cannot be used."""


class EdgeStore:
    """The store with this ARN; what it stores reaches all edge locations within seconds."""

    def __init__(self, arn: str, output: str) -> None:
        """Open the store; `output` is that of the stack which has the ARN.

        Raises:
            EdgeStoreError: this is not the ARN of a store.
        """
        if _ARN.fullmatch(arn) is None:
            msg = f"{arn!r} is not a store's ARN: the stack's output {output} has it"
            raise EdgeStoreError(msg)
        self._arn = arn
        # A global service, whose address has the account that the ARN names.
        self._client: CloudFrontKeyValueStoreClient = open_client(
            "cloudfront-keyvaluestore", region="us-east-1"
        )

    def values(self) -> Mapping[str, str]:
        """Return all values by key.

        Raises:
            EdgeStoreError: AWS refuses.
        """
        with _aws_errors():
            pages = self._client.get_paginator("list_keys").paginate(
                KvsARN=self._arn, PaginationConfig={"PageSize": _PAGE}
            )
            return {item["Key"]: item["Value"] for page in pages for item in page.get("Items", [])}

    def put(self, key: str, value: str) -> None:
        """Store a value.

        Raises:
            EdgeStoreError: AWS refuses.
        """
        self._change(lambda etag: self._put(key, value, etag))

    def create(self, key: str, value: str) -> bool:
        """Store a value, if there is none; return whether there was none.

        Raises:
            EdgeStoreError: AWS refuses.
        """
        return self._change(lambda etag: not self._exists(key) and self._put(key, value, etag))

    def delete(self, key: str) -> bool:
        """Delete a value; return whether there was one.

        Raises:
            EdgeStoreError: AWS refuses.
        """
        return self._change(lambda etag: self._exists(key) and self._delete(key, etag))

    def _put(self, key: str, value: str, etag: str) -> bool:
        self._client.put_key(KvsARN=self._arn, Key=key, Value=value, IfMatch=etag)
        return True

    def _delete(self, key: str, etag: str) -> bool:
        self._client.delete_key(KvsARN=self._arn, Key=key, IfMatch=etag)
        return True

    def _exists(self, key: str) -> bool:
        try:
            self._client.get_key(KvsARN=self._arn, Key=key)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True

    def _change(self, change: Callable[[str], bool]) -> bool:
        """Call `change` with the store's ETag, and repeat it if somebody else was faster."""
        with _aws_errors():
            for _ in range(_ATTEMPTS - 1):
                try:
                    return change(self._etag())
                except self._client.exceptions.ConflictException:
                    continue
            return change(self._etag())

    def _etag(self) -> str:
        return self._client.describe_key_value_store(KvsARN=self._arn)["ETag"]


@contextmanager
def _aws_errors() -> Iterator[None]:
    try:
        yield
    except MissingDependencyException as error:
        msg = "this requires another package: pip install 'frumious[tokens]'"
        raise EdgeStoreError(msg) from error
    except (BotoCoreError, ClientError) as error:
        msg = f"the store of the edge refuses: {error}"
        raise EdgeStoreError(msg) from error

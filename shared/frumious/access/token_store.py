"""The CloudFront KeyValueStore that holds a private mirror's tokens, each under its name."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, MissingDependencyException

from frumious.access.tokens import Token, TokenError
from frumious.aws import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudfront_keyvaluestore.client import CloudFrontKeyValueStoreClient

_ARN: Final = re.compile(r"arn:aws:cloudfront::\d{12}:key-value-store/[0-9A-Fa-f-]{36}")
_PAGE: Final = 50  # the maximum of ListKeys
_ATTEMPTS: Final = 5


class TokenStore:
    """The store with this ARN."""

    def __init__(self, arn: str) -> None:
        """Open the store.

        Raises:
            TokenError: this is not the ARN of a store.
        """
        if _ARN.fullmatch(arn) is None:
            msg = f"{arn!r} is not a store's ARN: the stack's output TokenStore has it"
            raise TokenError(msg)
        self._arn = arn
        # A global service, whose address has the account that the ARN names.
        self._client: CloudFrontKeyValueStoreClient = open_client(
            "cloudfront-keyvaluestore", region="us-east-1"
        )

    def tokens(self) -> list[Token]:
        """Return all tokens by name.

        Raises:
            TokenError: AWS refuses, or an entry is not a token.
        """
        with _aws_errors():
            pages = self._client.get_paginator("list_keys").paginate(
                KvsARN=self._arn, PaginationConfig={"PageSize": _PAGE}
            )
            items = [item for page in pages for item in page.get("Items", [])]
        tokens = [Token.from_json(item["Key"], item["Value"]) for item in items]
        return sorted(tokens, key=lambda token: token.name)

    def add(self, token: Token) -> None:
        """Store a token.

        Raises:
            TokenError: AWS refuses, or there is a token of this name.
        """

        def put(etag: str) -> None:
            if self._exists(token.name):
                msg = f"there is a token {token.name!r}: revoke it first, or take another name"
                raise TokenError(msg)
            self._client.put_key(
                KvsARN=self._arn, Key=token.name, Value=token.to_json(), IfMatch=etag
            )

        self._change(put)

    def revoke(self, name: str) -> None:
        """Delete a token.

        Raises:
            TokenError: AWS refuses, or there is no token of this name.
        """

        def delete(etag: str) -> None:
            if not self._exists(name):
                msg = f"there is no token {name!r}: 'frumious token list' shows them all"
                raise TokenError(msg)
            self._client.delete_key(KvsARN=self._arn, Key=name, IfMatch=etag)

        self._change(delete)

    def _exists(self, name: str) -> bool:
        try:
            self._client.get_key(KvsARN=self._arn, Key=name)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True

    def _change(self, change: Callable[[str], None]) -> None:
        """Call `change` with the store's ETag, and repeat it if somebody else was faster."""
        with _aws_errors():
            for attempt in range(1, _ATTEMPTS + 1):
                etag = self._client.describe_key_value_store(KvsARN=self._arn)["ETag"]
                try:
                    return change(etag)
                except self._client.exceptions.ConflictException:
                    if attempt == _ATTEMPTS:
                        raise
        return None


@contextmanager
def _aws_errors() -> Iterator[None]:
    try:
        yield
    except MissingDependencyException as error:
        msg = "this requires another package: pip install 'frumious[tokens]'"
        raise TokenError(msg) from error
    except (BotoCoreError, ClientError) as error:
        msg = f"the token store refuses: {error}"
        raise TokenError(msg) from error

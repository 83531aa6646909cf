"""A private mirror's tokens, each under its name in the store that the edge reads."""

from __future__ import annotations

from frumious.access.edge_store import EdgeStore
from frumious.access.tokens import NAME, Token, TokenError


class TokenStore:
    """The tokens in the store with this ARN. All methods raise an EdgeStoreError if AWS refuses."""

    def __init__(self, arn: str) -> None:
        """Open the store.

        Raises:
            EdgeStoreError: this is not the ARN of a store.
        """
        self._store = EdgeStore(arn, output="TokenStore")

    def tokens(self) -> list[Token]:
        """Return all tokens by name; other entries have keys that no token has.

        Raises:
            TokenError: an entry is not a token.
        """
        values = self._store.values()
        return [Token.from_json(key, values[key]) for key in sorted(values) if NAME.fullmatch(key)]

    def add(self, token: Token) -> None:
        """Store a token.

        Raises:
            TokenError: there is a token of this name.
        """
        if not self._store.create(token.name, token.to_json()):
            msg = f"there is a token {token.name!r}: revoke it first, or take another name"
            raise TokenError(msg)

    def revoke(self, name: str) -> None:
        """Delete a token.

        Raises:
            TokenError: there is no token of this name.
        """
        if NAME.fullmatch(name) is None or not self._store.delete(name):
            msg = f"there is no token {name!r}: 'frumious token list' shows them all"
            raise TokenError(msg)

"""Removal of secrets from text: passwords and signatures in URLs, and authorization headers.

`FrumiousError` redacts its text, and `redact_record` redacts log records.
"""

from __future__ import annotations

import logging
import re
from typing import Final
from urllib.parse import urlsplit

_USERINFO: Final = re.compile(r"""(?<=://)[^\s/?#"\\]*@""")
# A quote within a query is followed by more of it, and one around the URL is not.
_REST: Final = r"""(?:[^\s'"<>\\]|['"<>]+(?=[\w%&=+/~-])|\\(?=[%&=+/~-]))*"""
# The query of an absolute URL; of a relative one, if it begins like a query.
_QUERY: Final = re.compile(
    rf"""(://(?:[^\s?#'"<>\\]|'(?=[\w%&=+/~-]))*)\?{_REST}|\?[\w.~%+-]+={_REST}"""
)
_AUTHORIZATION: Final = re.compile(r"\b(Basic|Bearer) +[\w+/=.~-]{8,}")


def redact(text: str) -> str:
    """Return the text with `***` instead of user names, passwords, queries and credentials.

    Bytes of headers that are not UTF-8 are escaped, so that the text can be written anywhere.
    """
    text = text.encode(errors="backslashreplace").decode()
    text = _USERINFO.sub("***@", text)
    text = _QUERY.sub(lambda match: f"{match[1] or ''}?***", text)
    return _AUTHORIZATION.sub(r"\1 ***", text)


def check_login(url: str) -> None:
    """Check that `redact` recognizes all of a URL's user name and password.

    Raises:
        ValueError: they have white space, quotes or backslashes, which URLs cannot have.
    """
    if urlsplit(redact(url)).netloc.rpartition("@")[0] not in {"", "***"}:
        msg = "the user name or password has characters that URLs cannot have: percent-encode them"
        raise ValueError(msg)


class SecretText(str):
    """A text whose representation has no secrets, as that of a configuration must not have any."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the representation of the redacted text."""
        return repr(redact(self))


def redact_record(record: logging.LogRecord) -> bool:
    """Redact a log record, its fields and its traceback; a filter of handlers."""
    record.msg, record.args = record.getMessage(), None
    if record.exc_info:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    texts = {name: value for name, value in vars(record).items() if isinstance(value, str)}
    vars(record).update({name: redact(text) for name, text in texts.items()})
    return True

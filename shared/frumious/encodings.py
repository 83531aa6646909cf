"""Encodings of text that others have written."""

from __future__ import annotations

import codecs
import re
from typing import Final

# Other codecs of Python are no encodings of text, and some take hours for a few megabytes.
_OF_TEXT: Final = re.compile(
    r"ascii|utf-(?:8|8-sig|16|32)|iso8859-\d+|cp\d+|koi8-[rtu]|shift_jis|euc_\w+|gb\w+|big5"
)


def encoding_of(name: bytes) -> str:
    """Return the encoding that a text declares.

    Raises:
        LookupError, UnicodeDecodeError: there is none of that name.
    """
    encoding = codecs.lookup(name.decode("ascii")).name
    if _OF_TEXT.fullmatch(encoding) is None:
        msg = f"{encoding!r} is not an encoding of text"
        raise LookupError(msg)
    return encoding

"""Ed25519 without a library: verification alone (RFC 8032, 5.1.7).

For where `cryptography` is not installed, as in AWS. Verification has no secrets that the time it
takes could reveal. It takes some milliseconds.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)  # of -1
_SIGN: Final = 1 << 255

_Point: TypeAlias = tuple[int, int, int, int]  # extended homogeneous coordinates, 5.1.4

_NEUTRAL: Final[_Point] = (0, 1, 1, 0)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature of a message is by the key."""
    if len(public_key) != 32 or len(signature) != 64:  # noqa: PLR2004
        return False
    key, commitment = _decode(public_key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    return _equal(_multiply(scalar, _BASE), _add(commitment, _multiply(challenge, key)))


def _decode(encoded: bytes) -> _Point | None:
    """Return a point (5.1.3); None: this is none."""
    number = int.from_bytes(encoded, "little")
    y, is_odd = number % _SIGN, number >= _SIGN
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT % _P
    if x * x % _P != square or (not x and is_odd):
        return None
    if bool(x & 1) != is_odd:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(first: _Point, second: _Point) -> _Point:
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _NEUTRAL
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _equal(first: _Point, second: _Point) -> bool:
    x1, y1, z1, _ = first
    x2, y2, z2, _ = second
    return (x1 * z2 - x2 * z1) % _P == 0 and (y1 * z2 - y2 * z1) % _P == 0


_BASE_ENCODED: Final = (4 * pow(5, -1, _P) % _P).to_bytes(32, "little")


def _base() -> _Point:
    point = _decode(_BASE_ENCODED)
    assert point is not None  # noqa: S101 (a constant)
    return point


_BASE: Final = _base()

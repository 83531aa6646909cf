"""Merkle trees and their proofs as RFC 9162, 2.1, defines them; shares nothing with Frumious."""

from __future__ import annotations

from hashlib import sha256


def root(entries: list[bytes]) -> bytes:
    """Return MTH(D[n]) of 2.1.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = _split(len(entries))
    return sha256(b"\x01" + root(entries[:k]) + root(entries[k:])).digest()


def inclusion_proof(m: int, entries: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) of 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = _split(len(entries))
    if m < k:
        return [*inclusion_proof(m, entries[:k]), root(entries[k:])]
    return [*inclusion_proof(m - k, entries[k:]), root(entries[:k])]


def verify_inclusion(
    entry: bytes, leaf_index: int, tree_size: int, proof: list[bytes], root_hash: bytes
) -> bool:
    """Verify an inclusion proof as in 2.1.3.2."""
    if leaf_index >= tree_size:
        return False
    fn, sn = leaf_index, tree_size - 1
    r = sha256(b"\x00" + entry).digest()
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = sha256(b"\x01" + r + p).digest()
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root_hash


def verify_consistency(
    first: int, second: int, first_hash: bytes, second_hash: bytes, proof: list[bytes]
) -> bool:
    """Verify a consistency proof as in 2.1.4.2; `first` is at least 1."""
    if first == second:
        return not proof and first_hash == second_hash
    path = [first_hash, *proof] if first & (first - 1) == 0 else [*proof]
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = sha256(b"\x01" + c + fr).digest()
            sr = sha256(b"\x01" + c + sr).digest()
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            sr = sha256(b"\x01" + sr + c).digest()
        fn >>= 1
        sn >>= 1
    return fr == first_hash and sr == second_hash and sn == 0


def _split(n: int) -> int:
    """Return the largest power of two that is smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k

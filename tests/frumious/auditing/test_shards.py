"""Audits divide keys and projects, and find the same as without."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frumious.auditing import records
from frumious.auditing.listing import folder_order, in_folder_order
from frumious.auditing.records import SHARDS, shard_of, shard_start, shards_for
from frumious.model.types import Key

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from tests.frumious.auditing.mirrors import AuditedMirror

NAMES = st.from_regex(r"[ab0]{1,2}(-[ab0]{1,2}){0,3}", fullmatch=True)


@given(st.lists(NAMES, unique=True))
def test_sorted_names_become_the_order_of_their_folders(names: list[str]) -> None:
    items = [(cast("NormalizedName", name), name) for name in sorted(names)]

    assert [name for name, _ in in_folder_order(items)] == sorted(names, key=folder_order)


@pytest.mark.parametrize("shards", SHARDS)
@given(digits=st.text("0123456789abcdef", min_size=2, max_size=2))
def test_each_key_is_in_one_shard(shards: int, digits: str) -> None:
    key = Key(f"web/packages/{digits}/00/demo-1.0.tar.gz")

    shard = shard_of(key, shards)

    assert shard_start(shard, shards) <= key
    assert key < (shard_start(shard + 1, shards) or "~")


def test_large_mirrors_have_more_shards() -> None:
    assert [shards_for(files) for files in (0, 150_000, 2_000_000, 50_000_000)] == [1, 1, 16, 256]


@pytest.mark.parametrize("in_shard", [0.1, 0.01])
def test_shards_find_the_same(
    audited: AuditedMirror, in_shard: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_IN_SHARD", in_shard)
    missing = audited.file("demo-1.0-py3-none-any.whl")
    orphan = missing.replace("demo-1.0", "demo-9.9")
    audited.delete(missing)
    audited.write(orphan, b"")
    audited.write("web/packages/odd.txt", b"")

    assert audited.audit(restart=True).shards > 1
    assert audited.found() == {
        ("missing-file", missing),
        ("orphan", orphan),
        ("leftover", "web/packages/odd.txt"),
    }

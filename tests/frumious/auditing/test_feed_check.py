"""What an audit finds in a published change feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from frumious.auditing.doctor import diagnose
from frumious.auditing.feed_check import check_feed
from frumious.auditing.rest_check import check_rest
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from tests.frumious.finalizing.test_change_feed import ON, publish, report

if TYPE_CHECKING:
    from tests.world import World

SIZE = 600


@pytest.fixture
def fed(world: World) -> World:
    world.configure(sections=ON)
    publish(world, *map(report, range(SIZE)))
    return world


def found(world: World, *, deep: bool) -> set[tuple[Kind, str]]:
    findings: list[Finding] = world.run(lambda mirror: check_feed(mirror.storage, deep=deep))
    return {(each.kind, each.key) for each in findings}


def test_a_whole_feed_is_no_leftover_and_no_damage(fed: World) -> None:
    assert found(fed, deep=True) == found(fed, deep=False) == set()
    assert not fed.run(check_rest)


def test_a_mirror_without_a_feed_has_nothing_to_find(world: World) -> None:
    assert found(world, deep=True) == set()


@pytest.mark.parametrize(
    "key",
    [
        "web/changes/checkpoint",
        "web/changes/entries/000",
        "web/changes/tile/0/001",
        "web/changes/entries/002.p/88",
        "web/changes/tile/0/002.p/88",
        "web/changes/tile/1/000.p/2",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_damage_is_found(fed: World, key: str, damage: str) -> None:
    body = fed.read(key)
    if damage == "missing":
        fed.s3.delete_object(Bucket=fed.bucket, Key=key)
    else:
        changed = body[:-7] if damage == "cut" else bytes([body[9] ^ 1]).join((body[:9], body[10:]))
        fed.s3.put_object(Bucket=fed.bucket, Key=key, Body=changed)

    assert {kind for kind, _ in found(fed, deep=True)} == {Kind.DAMAGED_FEED}


def test_without_deep_entries_in_the_middle_are_not_read(fed: World) -> None:
    key = "web/changes/entries/000"
    body = fed.read(key).replace(b"project-7", b"project-8")
    fed.s3.put_object(Bucket=fed.bucket, Key=key, Body=body)

    assert found(fed, deep=False) == set()
    assert found(fed, deep=True) == {(Kind.DAMAGED_FEED, key)}


def test_what_the_feed_does_not_need_is_a_leftover(fed: World) -> None:
    keys = {"web/changes/readme", "web/changes/entries/000.p/7", "web/changes/tile/0/001.p/9"}
    for key in keys | {"web/changes/entries/003", "web/changes/entries/002.p/90"}:
        fed.s3.put_object(Bucket=fed.bucket, Key=key, Body=b"x")

    assert found(fed, deep=True) == {(Kind.LEFTOVER, key) for key in keys}


def test_the_doctor_knows_the_state_and_the_proof(fed: World) -> None:
    fed.s3.put_object(Bucket=fed.bucket, Key=layout.FEED, Body=b"{")
    fed.s3.put_object(Bucket=fed.bucket, Key=layout.FEED_PROOF, Body=b"{}")

    findings = {finding.subject: finding for finding in fed.run(diagnose)}

    assert "made again from the published change feed" in findings[layout.FEED].advice
    assert "rewritten" in findings[layout.FEED_PROOF].problem

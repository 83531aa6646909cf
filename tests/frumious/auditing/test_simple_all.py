"""Audits of mirrors with an index without the cooldown, on every storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from frumious.auditing.repair import delete_orphans
from frumious.model.types import Key
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.upstream import Server

NEW = "demo-2.0-py3-none-any.whl"


@pytest.fixture(
    params=["", "hash-index = true\n", "simple-format = HTML\n", "simple-format = JSON\n"]
)
def both(
    upstream: Server, storage: Callable[[], str], request: pytest.FixtureRequest
) -> Iterator[AuditedMirror]:
    """A mirror of projects with a release that waits, one of which is called `packages`."""
    options = f"{request.param}[cooldown]\ndays = 30\nsimple-all = true"
    with AuditedMirror(upstream, storage(), options) as mirror:
        now = datetime.fromtimestamp(mirror.clock.now(), UTC)
        for name in ("demo", "packages"):
            mirror.index.upload(wheel(name, "1.0"), upload_time=now - timedelta(days=90))
            mirror.index.upload(wheel(name, "2.0"), upload_time=now)
        mirror.index.upload(wheel("old", "1.0"), upload_time=now - timedelta(days=90))
        mirror.sync()
        yield mirror


def own(mirror: AuditedMirror, suffix: str = NEW) -> Key:
    (key,) = [key for key in mirror.keys("web/simple-all/packages/") if key.endswith(suffix)]
    return key


def test_what_is_right_is_not_found(both: AuditedMirror) -> None:
    assert own(both)
    assert both.found() == set()
    assert both.found(deep=True) == set()
    files = both.keys("web/simple-all/packages/")
    assert (
        both.run(delete_orphans([key for key in files if "index." not in key], both.mirror)) == []
    )


def test_a_file_that_is_missing_or_wrong_is_fetched_again(both: AuditedMirror) -> None:
    key, metadata = own(both), own(both, f"{NEW}.metadata")
    body, page = both.read(key), {each: both.read(each) for each in both.keys("web/simple-all/")}
    both.delete(metadata)
    both.write(key, b"x" * len(body))

    assert both.found(deep=True) == {("damaged-simple-all", key), ("damaged-simple-all", metadata)}
    assert both.repair(deep=True) == {key: "repaired", metadata: "repaired"}

    assert both.read(key) == body
    assert {each: both.read(each) for each in both.keys("web/simple-all/")}.keys() == page.keys()
    assert both.found(deep=True) == set()


def test_pages_that_are_not_what_they_should_be_are_made_again(both: AuditedMirror) -> None:
    pages = [key for key in both.keys("web/simple-all/") if "/demo/index." in key]
    before = {key: both.read(key) for key in pages}
    for key in pages:
        both.write(key, b"<html></html>")

    assert {kind for kind, _ in both.found()} == {"damaged-simple-all"}
    assert {*both.repair().values()} == {"repaired"}

    for key in pages:
        assert b"demo-2.0" in both.read(key)
        assert key.endswith("json") or both.read(key) == before[key]
    assert both.found(deep=True) == set()


def test_pages_without_their_json_page_are_made_again(both: AuditedMirror) -> None:
    stored = [*both.keys("web/simple-all/"), *both.keys("state/simple-all/")]
    pages = [key for key in stored if "/demo/index." in key]
    before = {key: both.read(key) for key in pages if not key.endswith("json")}
    both.delete(*(key for key in pages if key.endswith("json")))
    both.clock.advance(2 * 24 * 3600)

    assert {("damaged-simple-all", key) for key in before} <= both.found()
    both.repair()

    assert {key: both.read(key) for key in before} == before
    assert "damaged-simple-all" not in {kind for kind, _ in both.found(deep=True)}


def test_files_that_no_page_names_are_deleted(both: AuditedMirror) -> None:
    key = own(both)
    stray = Key(key.replace(NEW, "demo-3.0-py3-none-any.whl"))
    both.write(stray, b"stray")
    both.clock.advance(2 * 24 * 3600)

    assert both.found() == {("orphan", stray)}
    assert both.run(delete_orphans([key, stray], both.mirror)) == [stray]
    assert both.found() == set()


def test_a_page_must_not_name_what_the_live_page_does_not(both: AuditedMirror) -> None:
    """Live files that it names stay: they may be of a snapshot, or wait for their deletion."""
    key = own(both)
    live = f"web/{key.removeprefix('web/simple-all/')}"
    both.write(live, both.read(key))
    stored = [*both.keys("web/simple-all/"), *both.keys("state/simple-all/")]
    pages = [each for each in stored if "/demo/index." in each]
    for page in pages:
        both.write(page, both.read(page).replace(b"../../simple-all/packages", b"../../packages"))

    found = {kind for kind, _ in both.found()}
    assert found == {"damaged-simple-all", "orphan"}
    assert "repaired" in both.repair().values()

    assert live in both.keys("web/packages/")
    assert both.read(own(both)) == both.read(live)

"""Root indexes: reading upstream's, and merging and writing the mirror's."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.finalizing.root_index import Totals, publish_root_index, root_index_etag
from frumious.model import layout
from frumious.model.page_layout import Gzip, PageLayout
from frumious.model.pages import DelistedProject, ListedProject
from frumious.simple import root_index
from frumious.simple.values import InvalidPage
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.storage.s3.storage import S3Storage
    from tests.world import World

URL = "https://upstream.example/simple/"
KEY = layout.root_page(layout.V1_JSON)
HTML = layout.root_page(layout.HTML)
V1_HTML = layout.root_page(layout.V1_HTML)
LAYOUT = PageLayout(gzip=Gzip.PREFIX)
PAGES = {KEY, HTML, V1_HTML, *LAYOUT.root_variants}
A, B, C = (canonicalize_name(name) for name in ("a", "b", "c"))


def page(*projects: Any, **meta: Any) -> bytes:
    payload = {"meta": {"api-version": "1.4", **meta}, "projects": projects}
    return json.dumps(payload).encode()


# Upstream's


def test_names_and_serials_of_upstream_s_root_index_are_read() -> None:
    projects = [{"_last-serial": 5, "name": "Demo.One", "x": [1]}, {"name": "two"}]
    index = root_index.parse(page(*projects, **{"_last-serial": 9}), URL)

    assert index.projects == {"demo-one": 5, "two": None}
    assert index.serial == 9


def test_serials_of_another_mirror_may_be_strings() -> None:
    projects = [{"_last-serial": "5", "name": "demo"}]
    index = root_index.parse(page(*projects, **{"_last-serial": "9"}), URL)

    assert (index.projects, index.serial) == ({"demo": 5}, 9)


def test_names_that_cannot_have_a_page_are_ignored() -> None:
    names = ["demo", "", "-x-", "../x", "a b", "\ud800", "é"]
    index = root_index.parse(page(*({"name": name} for name in names)), URL)

    assert set(index.projects) == {"demo"}


def test_meta_may_follow_the_projects() -> None:
    body = (
        b'\xef\xbb\xbf{"projects":[{"name":"demo"}],"meta":{"_last-serial":9,"api-version":"1.0"}}'
    )
    index = root_index.parse(body, URL)

    assert (index.projects, index.serial) == ({"demo": None}, 9)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        page()[:-1],
        page({"name": "demo"}) + b"x",
        b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "demo", "x": NaN}]}',
        b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "demo", "_last-serial": 1e999}]}',
        b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "\xff"}]}',
        b'{"meta": {"api-version": "1.0"}, "projects": [{"name": ' + b"7" * 5000 + b"}]}",
        b'{"meta": {"api-version": "1.0"}, "projects": [' + b"[" * 5000 + b"]" * 5000 + b"]}",
        b'{"meta": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b', "projects": []}',
    ],
    ids=lambda body: body[-30:].decode(errors="replace"),
)
def test_an_invalid_root_index_is_an_error_that_names_its_url(body: bytes) -> None:
    with pytest.raises(InvalidPage, match=URL):
        root_index.parse(body, URL)


def test_a_root_index_with_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_index, "_MAX_VALUES", 1000)
    with pytest.raises(InvalidPage, match="more than 1000 values"):
        root_index.parse(page({"name": "demo", "x": [[]] * 1000}), URL)


# The mirror's own


def test_bandersnatch_s_root_index_is_read() -> None:
    body = page({"name": "Zope"}, {"name": "a.b"}, **{"_last-serial": "17"})

    assert list(root_index.entries(body, KEY)) == [
        ("zope", ListedProject("Zope", None)),
        ("a-b", ListedProject("a.b", None)),
    ]
    assert root_index.meta(body, KEY)["_last-serial"] == 17


@pytest.mark.parametrize(
    "unusual",
    [
        {"name": "p1500", "_last-serial": "1500"},
        {"name": "p1500", "_last-serial": 1500, "x": "},{"},
        {"name": "p1500", "_last-serial": 1500, "x": [{"projects": []}, {"y": [{}, {}]}]},
        {"x": "\u2603", "name": "P1500", "_last-serial": 1500, "_held": None},
    ],
)
@pytest.mark.parametrize("form", [{}, {"indent": 1}, {"separators": (",", ":")}], ids=str)
def test_an_unusual_entry_changes_nothing_for_the_others(
    unusual: dict[str, object], form: dict[str, Any]
) -> None:
    projects: list[dict[str, object]] = [
        {"name": f"p{number:04}", "_last-serial": number} for number in range(3000)
    ]
    projects[1500] = unusual
    meta = {"api-version": "1.0", "x": [{"projects": [7]}, '"projects":[']}
    body = json.dumps({"meta": meta, "projects": projects}, **form).encode()
    expected = {f"p{number:04}": number for number in range(3000)}

    assert {name: each.serial for name, each in root_index.entries(body, KEY)} == expected
    assert root_index.parse(body, URL).projects == expected
    assert root_index.meta(body, KEY)["x"] == meta["x"]


def test_the_root_index_carries_private_project_data() -> None:
    listed = {
        A: ListedProject("A", 5, 3, 1000),
        B: ListedProject("b", None),
        C: ListedProject("c", 7, 0, 0),
    }
    projects = root_index.json_projects(root_index.batched(listed.items()))
    body = root_index.json_page(projects, 9, {"_last-serial": 1, "api-version": "0"})

    assert json.loads(body) == {
        "meta": {"api-version": "1.4", "_last-serial": 9},
        "projects": [
            {"_last-serial": 5, "_held": [3, 1000], "name": "A"},
            {"name": "b"},
            {"_last-serial": 7, "name": "c"},
        ],
    }
    assert dict(root_index.entries(body, KEY)) == listed


@pytest.mark.parametrize("private", [7, [1], [1, "2"], {"files": 1}])
def test_a_page_with_foreign_private_data_is_not_the_mirror_s(private: object) -> None:
    with pytest.raises(InvalidPage, match="_held"):
        list(root_index.entries(page({"name": "demo", "_held": private}), KEY))


def test_a_large_root_index_is_never_in_memory_as_a_whole() -> None:
    names = (f"p{number:06}" for number in range(10_000))
    listed = ((canonicalize_name(name), ListedProject(name, 5)) for name in names)
    body = root_index.json_page(root_index.json_projects(root_index.batched(listed)), 9, {})
    changes = {canonicalize_name("p000007"): ListedProject("p7", 10**6)}
    tracemalloc.start()
    merged = root_index.merge(root_index.batches(body, KEY), changes)
    after = root_index.json_projects(batch for batch, _ in merged)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < len(after) * 1.2 + 1_000_000


def test_a_merge_requires_a_sorted_list() -> None:
    for names in ("ba", "aa"):
        listed = [(canonicalize_name(name), ListedProject(name, 1)) for name in names]
        with pytest.raises(root_index.NotSorted):
            list(root_index.merge(root_index.batched(listed), {}))


# Published


def publish(
    world: World, serial: int | None = 9, **changes: ListedProject | DelistedProject
) -> Totals:
    by_name = {canonicalize_name(name): change for name, change in changes.items()}
    return world.run(lambda mirror: merge(by_name, serial, mirror))


async def merge(
    changes: dict[NormalizedName, ListedProject | DelistedProject],
    serial: int | None,
    mirror: Mirror,
) -> Totals:
    replacing = await root_index_etag(mirror.pages)
    return await publish_root_index(changes, serial, mirror.pages, replacing=replacing)


def root_page(world: World) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(world.read(KEY))
    return page


def names(world: World) -> list[str]:
    return [project["name"] for project in root_page(world)["projects"]]


def requests(world: World) -> int:
    return world.run(_take_requests)


async def _take_requests(mirror: Mirror) -> int:
    return mirror.storage.pop_request_count()


def test_the_first_root_index_may_be_empty(world: World) -> None:
    assert publish(world, a=DelistedProject(3)) == Totals(0, 0, 0)

    assert {*world.stored()} == PAGES
    assert names(world) == []


def test_changes_are_merged_and_counted(world: World) -> None:
    publish(world, b=ListedProject("B", 5, 2, 10), c=ListedProject("c", 6, 1, 1))

    totals = publish(
        world,
        10,
        a=ListedProject("a", 7, 3, 100),
        b=ListedProject("b", 8, 4, 20),
        c=DelistedProject(9),
    )

    assert totals == Totals(2, 7, 120)
    assert names(world) == ["a", "b"]
    assert root_page(world)["meta"]["_last-serial"] == 10
    html = world.read(HTML)
    assert html == world.read(layout.root_page(layout.V1_HTML))
    assert b'<a href="b/">b</a>' in html
    assert b'href="c/"' not in html


def test_results_without_a_change_write_nothing(world: World) -> None:
    publish(world, a=ListedProject("a", 5, 1, 10))
    before = world.contents()
    requests(world)

    publish(world, a=ListedProject("a", 5, 1, 10), b=DelistedProject(3))

    assert requests(world) == 7  # the JSON page is requested twice, the other five pages once
    assert world.contents() == before


def test_a_serial_alone_rewrites_no_html(world: World) -> None:
    publish(world, a=ListedProject("a", 5))
    requests(world)

    publish(world, 11, a=ListedProject("a", 6))

    assert requests(world) == 9
    assert root_page(world)["meta"]["_last-serial"] == 11


def test_each_page_has_a_compressed_variant(world: World) -> None:
    publish(world, 11, a=ListedProject("a", 5), b=ListedProject("B", 6))
    publish(world, 12, c=ListedProject("c", 12))

    for key in (HTML, V1_HTML):
        assert gzip.decompress(world.read(LAYOUT.variant(key))) == world.read(key)
    variant = json.loads(gzip.decompress(world.read(LAYOUT.variant(KEY))))
    page = root_page(world)
    del page["meta"]["_frumious"]  # which tells the mirror whether the others belong to the page
    assert variant == page
    head = world.s3.head_object(Bucket=world.bucket, Key=LAYOUT.variant(KEY))
    assert head["ContentEncoding"] == "gzip"
    assert head["ContentType"] == "application/vnd.pypi.simple.v1+json"


def test_a_root_index_of_an_earlier_version_gets_variants(world: World) -> None:
    world.configure("compress-pages = false")
    publish(world, a=ListedProject("a", 5))
    assert {*world.stored()} == PAGES - {*LAYOUT.root_variants}

    world.configure()
    publish(world, a=ListedProject("a", 5))

    assert {*world.stored()} == PAGES


def test_no_serial_goes_backwards(world: World) -> None:
    publish(world, 9, a=ListedProject("A", 5), b=ListedProject("b", 5))

    publish(world, 8, a=ListedProject("old", 4), b=DelistedProject(4))
    publish(world, None)

    assert names(world) == ["A", "b"]
    assert root_page(world)["meta"]["_last-serial"] == 9


@pytest.mark.parametrize("key", sorted(PAGES - {KEY}))
def test_a_missing_or_outdated_html_page_is_rewritten(world: World, key: Key) -> None:
    publish(world, a=ListedProject("a", 5))
    right = world.read(key)

    world.s3.delete_object(Bucket=world.bucket, Key=key)
    publish(world)
    assert world.read(key) == right

    world.s3.put_object(Bucket=world.bucket, Key=key, Body=b"an older finalizer's")
    publish(world)
    assert world.read(key) == right


async def trust(
    changes: dict[NormalizedName, ListedProject | DelistedProject], mirror: Mirror
) -> None:
    """Merge as most ticks do: the other pages are taken for those of the JSON page."""
    etag = await root_index_etag(mirror.pages)
    await publish_root_index(changes, 12, mirror.pages, replacing=etag, verify=False)


def test_most_ticks_request_the_json_page_alone(world: World) -> None:
    publish(world, a=ListedProject("a", 5))
    requests(world)

    world.run(lambda mirror: trust({A: ListedProject("a", 6)}, mirror))

    assert requests(world) == 4
    assert root_page(world)["projects"] == [{"_last-serial": 6, "name": "a"}]


@pytest.mark.parametrize("killed_at", sorted(PAGES))
def test_pages_of_a_finalizer_that_died_are_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, killed_at: Key
) -> None:
    publish(world, a=ListedProject("a", 5))

    async def killed(mirror: Mirror) -> None:
        storage: S3Storage = mirror.storage  # type: ignore[assignment]
        write = storage.write

        async def write_or_die(key: Key, body: bytes, *, replacing: str | None = None) -> str:
            if key == killed_at:
                raise RuntimeError
            return await write(key, body, replacing=replacing)

        monkeypatch.setattr(storage, "write", write_or_die)
        await trust({B: ListedProject("b", 6)}, mirror)

    with pytest.raises(RuntimeError):
        world.run(killed)
    monkeypatch.undo()
    # The project is removed before the next finalizer comes: no name changes.
    world.run(lambda mirror: trust({B: DelistedProject(7)}, mirror))

    for key in (HTML, V1_HTML):
        assert b'href="b/"' not in world.read(key)
        assert gzip.decompress(world.read(LAYOUT.variant(key))) == world.read(key)
    assert b'"b"' not in gzip.decompress(world.read(LAYOUT.variant(KEY)))


def test_bandersnatch_s_root_index_is_migrated(world: World) -> None:
    body = page({"name": "Zope"}, {"name": "a.b"}, {"name": "a"}, **{"_last-serial": "17", "x": 1})
    world.s3.put_object(Bucket=world.bucket, Key=KEY, Body=body)

    assert publish(world, None, b=ListedProject("b", 20)) == Totals(4, 0, 0)

    assert names(world) == ["a", "a.b", "b", "Zope"]
    assert root_page(world)["meta"]["_last-serial"] == 17
    assert root_page(world)["meta"]["x"] == 1


@pytest.mark.parametrize("overtaken_at", sorted(PAGES))
def test_an_overtaken_finalizer_does_not_overwrite_newer_pages(
    world: World, monkeypatch: pytest.MonkeyPatch, overtaken_at: Key
) -> None:
    publish(world, a=ListedProject("a", 5))

    async def overtaken(mirror: Mirror) -> None:
        storage: S3Storage = mirror.storage  # type: ignore[assignment]
        write = storage.write
        others: list[Key] = []

        async def write_late(key: Key, body: bytes, *, replacing: str | None = None) -> str:
            if key == overtaken_at and not others:
                others.append(key)
                await merge({C: ListedProject("c", 7)}, 12, mirror)
            return await write(key, body, replacing=replacing)

        monkeypatch.setattr(storage, "write", write_late)
        await merge({B: ListedProject("b", 6)}, 11, mirror)

    with pytest.raises(Conflict):
        world.run(overtaken)
    monkeypatch.undo()

    assert "c" in names(world)
    assert "b" not in names(world)
    publish(world, 12, b=ListedProject("b", 6))  # as the next tick does
    assert names(world) == ["a", "b", "c"]
    html = world.read(HTML)
    assert all(f'href="{name}/"'.encode() in html for name in "abc")

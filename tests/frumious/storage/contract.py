"""The contract of every storage: statements, each of which is run with an empty mirror.

A statement takes a Subject. What a storage does not guarantee is not asked of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from frumious.model import layout
from frumious.model.checksums import ExpectedContent, FileStream, WrongBytes
from frumious.model.headers import headers_of
from frumious.model.types import Key
from frumious.storage.protocol import Conflict
from frumious.storage.s3.storage import S3Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from frumious.storage.protocol import Storage

    Statement = Callable[["Subject"], Awaitable[None]]

STATEMENTS: Final[list[Statement]] = []

FILE: Final = Key(f"web/packages/ab/cd/{'0' * 60}/demo-1.0.tar.gz")
PAGE: Final = Key("web/simple/demo/index.v1_json")
CHUNK: Final = 64 * 1024
ODD: Final = (
    "with space",
    "plus+equals=and&",
    "percent%20%2F%",
    "tilde~-_.!*'()",
    'quotes"<>;:@$,?#[]',
    "ünïcödé-ß-日本語",
    "astral-\N{SNAKE}",
    f"{'long-' * 48}.whl",
)


@dataclass(frozen=True, slots=True)
class Subject:
    """An open storage, and its properties that the contract's checks need."""

    storage: Storage
    many: int = 2500  # objects, more than one request can list or delete
    begins_anywhere: bool = True  # a listing, also behind a key that a URL would quote
    content_type: Callable[[Key], Awaitable[str]] | None = None  # that readers receive


def statement(check: Statement) -> Statement:
    STATEMENTS.append(check)
    return check


class Interrupted(Exception):
    """Upstream closed the connection."""


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]
        await asyncio.sleep(0)


def expected(body: bytes, *, size: bool = True, algorithm: str = "sha256") -> ExpectedContent:
    digest = hashlib.new(algorithm, body).hexdigest()
    return ExpectedContent(algorithm, digest, len(body) if size else None)


async def store(
    storage: Storage, key: Key, body: bytes, promised: ExpectedContent | None = None
) -> None:
    promised = promised or expected(body)
    await storage.store(key, FileStream(chunks(body), promised, "https://upstream.example"))


async def listed(storage: Storage, prefix: str = "", after: str = "") -> list[str]:
    keys = [entry.key async for entry in storage.list(prefix, after=after)]
    return [key for key in keys if key != "state/s3-server.json"]


@statement
async def what_is_not_there_is_none(subject: Subject) -> None:
    storage = subject.storage

    assert await storage.read(PAGE) is None
    assert await storage.head(PAGE) is None
    assert await listed(storage) == []


@statement
async def what_was_written_is_read(subject: Subject) -> None:
    storage = subject.storage
    for body in (b"", b"first", bytes(range(256)) * 5000):
        tag = await storage.write(PAGE, body)

        read = await storage.read(PAGE)
        head = await storage.head(PAGE)

        assert read is not None
        assert head is not None
        assert (read.body, head.size) == (body, len(body))
        assert read.etag == head.etag == tag
        assert head.sha256 in {None, hashlib.sha256(body).hexdigest()}


@statement
async def other_bytes_have_another_tag(subject: Subject) -> None:
    tags = {await subject.storage.write(PAGE, body) for body in (b"one", b"two", b"three")}

    assert len(tags) == 3


@statement
async def what_was_read_can_be_replaced_and_nothing_else(subject: Subject) -> None:
    storage = subject.storage
    first = await storage.write(PAGE, b"first")
    second = await storage.write(PAGE, b"second", replacing=first)
    with pytest.raises(Conflict):
        await storage.write(PAGE, b"late", replacing=first)
    assert (await _body(storage, PAGE)) == b"second"

    await storage.write(PAGE, b"third", replacing=second)

    assert (await _body(storage, PAGE)) == b"third"


@statement
async def what_is_gone_cannot_be_replaced(subject: Subject) -> None:
    storage = subject.storage
    tag = await storage.write(PAGE, b"first")
    await storage.delete([PAGE])

    with pytest.raises(Conflict):
        await storage.write(PAGE, b"second", replacing=tag)

    assert await storage.read(PAGE) is None


@statement
async def only_what_is_not_there_is_created(subject: Subject) -> None:
    storage = subject.storage
    tag = await storage.create(layout.CURSOR, b"first")
    with pytest.raises(Conflict):
        await storage.create(layout.CURSOR, b"second")
    assert (await _body(storage, layout.CURSOR)) == b"first"

    await storage.write(layout.CURSOR, b"third", replacing=tag)


@statement
async def of_sixteen_who_create_one_does(subject: Subject) -> None:
    storage = subject.storage
    outcomes = await asyncio.gather(
        *(storage.create(layout.CURSOR, b"%d" % number) for number in range(16)),
        return_exceptions=True,
    )

    assert {type(outcome) for outcome in outcomes} <= {str, Conflict}
    created = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    if isinstance(storage, S3Storage) and not (await storage.prepare()).if_match:
        assert created  # such as Swift's S3, whose If-None-Match is not atomic
        return
    assert len(created) == 1
    assert (await _body(storage, layout.CURSOR)) == b"%d" % created[0]


@statement
async def none_of_many_replacements_is_lost(subject: Subject) -> None:
    storage = subject.storage
    await storage.write(layout.CURSOR, b"0")

    async def count() -> None:
        for _ in range(4):
            while True:
                read = await storage.read(layout.CURSOR)
                assert read is not None
                try:
                    await storage.write(
                        layout.CURSOR, b"%d" % (int(read.body) + 1), replacing=read.etag
                    )
                except Conflict:
                    continue
                break

    await asyncio.gather(*(count() for _ in range(6)))

    assert int(await _body(storage, layout.CURSOR)) == 24


@statement
async def a_file_is_stored_as_it_arrives(subject: Subject) -> None:
    storage = subject.storage
    body = b"some bytes" * 100_000
    await store(storage, FILE, body)

    head = await storage.head(FILE)

    assert (await _body(storage, FILE)) == body
    assert head is not None
    assert head.size == len(body)
    assert head.sha256 in {None, hashlib.sha256(body).hexdigest()}


@statement
async def a_file_is_read_in_chunks(subject: Subject) -> None:
    storage = subject.storage
    for body in (b"", b"few", bytes(range(256)) * 40_000):
        await store(storage, FILE, body)

        opened = await storage.stream(FILE)

        assert opened is not None
        async with aclosing(opened.chunks) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == body
    assert await storage.stream(PAGE) is None


@statement
async def what_is_read_has_the_headers_of_its_readers(subject: Subject) -> None:
    storage = subject.storage
    await store(storage, FILE, b"file")
    for key in (PAGE, Key("web/gzip/simple/demo/index.v1_json")):
        await storage.write(key, b"page")
        stored, head = await storage.read(key), await storage.head(key)
        assert stored is not None
        assert head is not None
        for headers in (stored.headers, head.headers):
            assert headers is None or not headers.problem(headers_of(key))

    opened = await storage.stream(FILE)

    assert opened is not None
    await opened.chunks.aclose()
    assert opened.headers is None or not opened.headers.problem(headers_of(FILE))


@statement
async def a_listing_says_what_an_object_is(subject: Subject) -> None:
    storage = subject.storage
    began = time.time()
    await storage.write(PAGE, b"page")
    await store(storage, FILE, b"file" * 1000)

    file, page = [entry async for entry in storage.list("web/")]

    assert (file.key, file.size) == (FILE, 4000)
    assert (page.key, page.size) == (PAGE, 4)
    for entry in (file, page):
        assert entry.modified is not None
        assert abs(entry.modified - began) < 60
        content_type = headers_of(entry.key).content_type.replace(" ", "")
        assert (entry.content_type or content_type).replace(" ", "") == content_type


@statement
async def a_file_is_stored_over_another(subject: Subject) -> None:
    storage = subject.storage
    await store(storage, FILE, b"first" * 1000)
    await store(storage, FILE, b"second")

    assert (await _body(storage, FILE)) == b"second"


@statement
async def an_empty_file_is_stored(subject: Subject) -> None:
    await store(subject.storage, FILE, b"")

    assert (await _body(subject.storage, FILE)) == b""


@statement
async def a_large_file_of_unknown_size_is_stored(subject: Subject) -> None:
    body = hashlib.shake_256(b"large").digest(20 * 1024**2 + 1)
    await store(subject.storage, FILE, body, expected(body, size=False))

    head = await subject.storage.head(FILE)
    assert (await _body(subject.storage, FILE)) == body
    assert head is not None
    assert head.sha256 in {None, hashlib.sha256(body).hexdigest()}


@statement
async def a_file_without_a_sha256_is_stored(subject: Subject) -> None:
    body = b"some bytes" * 1000
    await store(subject.storage, FILE, body, expected(body, algorithm="blake2b"))

    assert (await _body(subject.storage, FILE)) == body


@statement
async def of_wrong_bytes_nothing_is_stored(subject: Subject) -> None:
    storage = subject.storage
    right, wrong = b"right" * 40_000, b"wrong" * 40_000
    for size in (True, False):
        with pytest.raises(WrongBytes):
            await store(storage, FILE, wrong, expected(right, size=size))
        assert await storage.read(FILE) is None


@statement
async def of_too_few_or_too_many_bytes_nothing_is_stored(subject: Subject) -> None:
    storage = subject.storage
    body = b"right" * 40_000
    for other in (body[:-1], body + b"x", body[:5], b""):
        with pytest.raises(WrongBytes):
            await store(storage, FILE, other, expected(body))
        assert await storage.read(FILE) is None


@statement
async def wrong_bytes_leave_what_was_there(subject: Subject) -> None:
    storage = subject.storage
    await store(storage, FILE, b"right")

    with pytest.raises(WrongBytes):
        await store(storage, FILE, b"wrong", expected(b"other"))

    assert (await _body(storage, FILE)) == b"right"


@statement
async def why_the_bytes_ended_is_told_as_it_was(subject: Subject) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * CHUNK
        raise Interrupted

    for promised in (expected(b"x" * 5 * CHUNK), expected(b"x" * 5 * CHUNK, size=False)):
        with pytest.raises(Interrupted):
            await subject.storage.store(FILE, FileStream(broken(), promised, "upstream"))
        assert await subject.storage.read(FILE) is None


@statement
async def what_is_cancelled_leaves_nothing(subject: Subject) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * CHUNK
        under_way.set()
        await asyncio.sleep(60)
        yield b"y"

    for promised in (expected(b"x" * 5 * CHUNK), expected(b"x" * 5 * CHUNK, size=False)):
        under_way = asyncio.Event()
        storing = asyncio.ensure_future(
            subject.storage.store(FILE, FileStream(endless(), promised, "upstream"))
        )
        await under_way.wait()
        await asyncio.sleep(0.1)

        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing

        await asyncio.sleep(0.2)
        assert await subject.storage.read(FILE) is None
        assert await listed(subject.storage) == []


@statement
async def sixteen_files_are_stored_at_once(subject: Subject) -> None:
    storage = subject.storage
    bodies = {
        Key(f"web/packages/aa/bb/{number:060}/demo-{number}.tar.gz"): b"%d" % number * 100_000
        for number in range(16)
    }

    await asyncio.gather(*(store(storage, key, body) for key, body in bodies.items()))

    read = await asyncio.gather(*(_body(storage, key) for key in bodies))
    assert read == list(bodies.values())


@statement
async def readers_receive_the_content_type(subject: Subject) -> None:
    if subject.content_type is None:
        return
    keys = [PAGE, Key("web/simple/demo/index.html"), Key("web/simple/demo/index.v1_html")]
    for key in keys:
        await subject.storage.write(key, b"x")
    for promised, key in ((expected(b"x"), FILE), (expected(b"x", size=False), Key(f"{FILE}.x"))):
        await store(subject.storage, key, b"x", promised)
        keys.append(key)

    served = [await subject.content_type(key) for key in keys]

    assert served == [headers_of(key).content_type for key in keys]


@statement
async def a_listing_is_in_the_order_of_the_bytes(subject: Subject) -> None:
    storage = subject.storage
    names = ("a-b/x", "a/x", "a/y/z", "a0", "ab", "é", "\uff5a", "\N{SNAKE}", "B")
    for size, name in enumerate(names):
        await storage.write(Key(f"web/{name}"), b"x" * size)
    await storage.write(layout.STATUS, b"1")

    entries = [entry async for entry in storage.list("web/")]

    keys = sorted((f"web/{name}" for name in names), key=str.encode)
    assert [entry.key for entry in entries] == keys
    assert {entry.key: entry.size for entry in entries} == {
        f"web/{name}": size for size, name in enumerate(names)
    }
    assert await listed(storage, "web/a") == [key for key in keys if key.startswith("web/a")]
    assert await listed(storage, "web/a/") == ["web/a/x", "web/a/y/z"]
    assert await listed(storage, "we") == keys
    assert await listed(storage, "web/a", after="web/a/x") == ["web/a/y/z", "web/a0", "web/ab"]
    assert await listed(storage, "web/a", after="web/a/xx") == ["web/a/y/z", "web/a0", "web/ab"]
    assert await listed(storage, "web/nothing") == []
    if subject.begins_anywhere:
        assert await listed(storage, "web/", after="web/é") == ["web/\uff5a", "web/\N{SNAKE}"]


@statement
async def many_objects_are_listed_and_deleted(subject: Subject) -> None:
    storage = subject.storage
    keys = [Key(f"state/results/{number:05}.json") for number in range(subject.many)]
    for start in range(0, len(keys), 50):
        await asyncio.gather(*(storage.write(key, b"{}") for key in keys[start : start + 50]))
    await storage.write(layout.STATUS, b"1")

    assert await listed(storage, "state/results/") == keys
    assert await listed(storage, "state/results/", after=keys[130]) == keys[131:]
    await storage.delete(keys)

    assert await listed(storage) == [layout.STATUS]


@statement
async def what_is_not_there_can_be_deleted(subject: Subject) -> None:
    storage = subject.storage
    await storage.write(PAGE, b"x")

    await storage.delete([FILE, PAGE, Key("web/simple/other/index.html")])
    await storage.delete([])

    assert await listed(storage) == []


@statement
async def odd_keys_are_keys_like_others(subject: Subject) -> None:
    storage = subject.storage
    keys = [Key(f"web/packages/aa/{name}") for name in ODD]
    for number, key in enumerate(keys):
        if number % 2:
            await storage.write(key, key.encode())
        else:
            await store(storage, key, key.encode())

    assert [await _body(storage, key) for key in keys] == [key.encode() for key in keys]
    assert await listed(storage, "web/packages/") == sorted(keys, key=str.encode)
    await storage.delete(keys)
    assert await listed(storage) == []


@statement
async def a_long_key_is_a_key_like_others(subject: Subject) -> None:
    storage = subject.storage
    key = Key("web/packages/" + "/".join(["x" * 200] * 4))
    await store(storage, key, b"x")

    assert (await _body(storage, key)) == b"x"
    assert await listed(storage) == [key]


@statement
async def requests_are_counted(subject: Subject) -> None:
    storage = subject.storage
    storage.pop_request_count()
    await storage.write(PAGE, b"x")
    await storage.read(PAGE)

    assert storage.pop_request_count() >= 2
    assert storage.pop_request_count() == 0


async def _body(storage: Storage, key: Key) -> bytes:
    read = await storage.read(key)
    assert read is not None
    return read.body

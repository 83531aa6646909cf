"""Objects that readers get with a wrong Content-Type or Content-Encoding, on S3 and Swift."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.headers import Headers
from frumious.model.types import Key
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.upstream import Server, wheel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

WHEEL = "demo-1.0-py3-none-any.whl"
JSON_PAGE = "web/simple/demo/index.v1_json"
HTML_PAGE = "web/simple/demo/index.html"
VARIANT = "web/gzip/simple/demo/index.v1_json"
ROOT_PAGE = "web/simple/index.html"
# Files of a folder have no headers, and Swift has no variants.
IN_OBJECTS = pytest.mark.parametrize(
    "storage", ["s3", pytest.param("swift", marks=pytest.mark.servers)], indirect=True
)
IN_S3 = pytest.mark.parametrize("storage", ["s3"], indirect=True)


@pytest.fixture
def audited(upstream: Server, storage: Callable[[], str]) -> Iterator[AuditedMirror]:
    upstream.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    with AuditedMirror(upstream, storage(), "json = true") as mirror:
        mirror.sync()
        yield mirror


@pytest.fixture
def spoil(
    audited: AuditedMirror, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Headers], None]:
    """Return what writes an object again, with other headers."""

    async def write(key: str) -> None:
        stored = await audited.mirror.storage.read(Key(key))
        assert stored is not None

        async def chunks() -> AsyncIterator[bytes]:
            yield stored.body

        if key.startswith("web/packages/"):
            expected = ExpectedContent("sha256", _sha256(stored.body), len(stored.body))
            await audited.mirror.storage.store(Key(key), FileStream(chunks(), expected, "test"))
        else:
            await audited.mirror.storage.write(Key(key), stored.body)

    def spoil(key: str, headers: Headers) -> None:
        with monkeypatch.context() as patched:
            for module in ("s3.bucket", "swift.storage"):
                patched.setattr(f"frumious.storage.{module}.headers_of", lambda _: headers)
            audited.run(write(key))

    return spoil


TEXT = Headers("text/plain", None)


@IN_OBJECTS
def test_types_of_what_is_read_are_compared(
    audited: AuditedMirror, spoil: Callable[[str, Headers], None]
) -> None:
    spoil(JSON_PAGE, TEXT)
    spoil(ROOT_PAGE, TEXT)

    assert audited.found() == {
        ("wrong-content-type", JSON_PAGE),
        ("wrong-content-type", ROOT_PAGE),
    }

    assert audited.repair() == dict.fromkeys((JSON_PAGE, ROOT_PAGE), "repaired")
    assert audited.found(deep=True) == set()


@IN_OBJECTS
def test_types_of_all_objects_are_compared_by_reading_them(
    audited: AuditedMirror, spoil: Callable[[str, Headers], None]
) -> None:
    (provenance,) = audited.keys("web/integrity/")
    files = [audited.file(WHEEL), audited.file(f"{WHEEL}.metadata")]
    keys = [*files, provenance, HTML_PAGE, "web/json/demo"]
    before = {key: audited.read(key) for key in keys}
    for key in keys:
        spoil(key, TEXT)

    assert audited.found(deep=True) == {("wrong-content-type", key) for key in keys}

    assert audited.repair(deep=True) == dict.fromkeys(keys, "repaired")
    assert {key: audited.read(key) for key in keys} == before
    assert audited.found(deep=True) == set()


@IN_OBJECTS
def test_a_repair_of_a_type_needs_nothing_of_upstream(
    audited: AuditedMirror, upstream: Server, spoil: Callable[[str, Headers], None]
) -> None:
    """What upstream no longer has is written again with its own bytes."""
    key = audited.file(WHEEL)
    spoil(key, TEXT)
    upstream.index.remove_file("demo", WHEEL)

    assert audited.repair(deep=True) == {key: "repaired"}
    assert key in audited.keys("web/")


@IN_S3
def test_a_variant_without_its_encoding_is_found(
    audited: AuditedMirror, spoil: Callable[[str, Headers], None]
) -> None:
    spoil(VARIANT, Headers("application/vnd.pypi.simple.v1+json", None))
    spoil(JSON_PAGE, Headers("application/vnd.pypi.simple.v1+json", None, "gzip"))

    assert audited.found() == {("wrong-content-type", JSON_PAGE)} | (
        {
            ("wrong-content-type", VARIANT)
        }  # the project is suspected, and looked at again as a whole
    )
    assert set(audited.repair(deep=True).values()) == {"repaired"}
    assert audited.found(deep=True) == set()


def _sha256(body: bytes) -> str:

    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        ({"content-type": "text/html;charset=UTF-8"}, ""),
        ({"content-type": "text/html; charset=utf-8", "content-encoding": "aws-chunked"}, ""),
        ({"content-type": "binary/octet-stream"}, "binary/octet-stream"),
        ({}, "no type"),
        (
            {"content-type": "text/html; charset=utf-8", "content-encoding": "aws-chunked,gzip"},
            "Content-Encoding: gzip",
        ),
    ],
)
def test_headers_are_compared_as_readers_understand_them(
    received: dict[str, str], problem: str
) -> None:
    expected = Headers("text/html; charset=utf-8", None)

    assert Headers.received(received).problem(expected) == problem

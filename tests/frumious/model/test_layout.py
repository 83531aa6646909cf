"""Keys made from upstream's names and URLs."""

from __future__ import annotations

import pytest

from frumious.model import layout
from frumious.model.layout import UnsafeName
from frumious.model.pages import File
from frumious.model.types import Key

SHA256 = "ab" * 32


def file(filename: str, url: str) -> File:
    return File(filename=filename, url=url, hashes={"sha256": SHA256})


def test_a_file_is_stored_at_upstream_s_path() -> None:
    path = f"packages/aa/bb/{'c' * 60}/demo-1.0.tar.gz"

    for url in (f"https://files.example/{path}", f"../../{path}", f"https://x.example/pypi/{path}"):
        assert layout.file_key(file("demo-1.0.tar.gz", url)) == f"web/{path}"


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/files/demo-1.0.tar.gz",
        "https://files.example/packages/other-name.tar.gz",
        "https://files.example/packages/aa/bb/demo-1.0.tar.gz",
        "../demo-1.0.tar.gz",
    ],
)
def test_a_path_of_another_form_is_made_from_the_sha256(url: str) -> None:
    key = layout.file_key(file("demo-1.0.tar.gz", url))

    assert key == f"web/packages/ab/ab/{SHA256[4:]}/demo-1.0.tar.gz"


@pytest.mark.parametrize(
    "filename",
    ["", ".", "..", "a/b", "a\\b", "/etc/passwd", "a\0b", "a\nb", "\x7f", "a\u2028b", "x" * 250],
)
def test_a_filename_that_is_not_a_path_segment_is_refused(filename: str) -> None:
    with pytest.raises(UnsafeName):
        layout.file_key(file(filename, f"https://files.example/packages/aa/{filename}"))


@pytest.mark.parametrize("middle", ["..", "%2e%2e", "a%2F..%2F..", "a//b", "a\\b", "a%00b"])
def test_a_path_with_an_unsafe_segment_is_refused(middle: str) -> None:
    url = f"https://files.example/packages/{middle}/demo-1.0.tar.gz"

    with pytest.raises(UnsafeName):
        layout.file_key(file("demo-1.0.tar.gz", url))


def test_a_key_that_s3_would_not_take_is_refused() -> None:
    url = "https://files.example/packages/" + "x" * 200 + "/" + "/".join(["y" * 200] * 5) + "/a.whl"

    with pytest.raises(UnsafeName, match="1024"):
        layout.file_key(file("a.whl", url))


def test_links_to_files_are_relative_or_below_the_root_uri() -> None:
    key = Key("web/packages/aa/demo 1.0+x.whl")

    assert layout.file_url(key, "") == "../../packages/aa/demo%201.0%2Bx.whl"
    assert (
        layout.file_url(key, "https://files.example/m/")
        == "https://files.example/m/packages/aa/demo%201.0%2Bx.whl"
    )

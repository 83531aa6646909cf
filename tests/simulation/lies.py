"""What a broken or hostile upstream writes into a project page, apart from what really changed."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.upstream import PYPI
from tests.upstream.pages import project_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.upstream.index import Index
    from tests.upstream.pages import Addresses, Page

_UNSAFE = ("../../status", "index.v1_json", ".frumious-x", "a" * 300, "x\0.whl", "x.metadata", "..")


class Liar:
    """Makes false pages of true ones, in which another project may play a part."""

    def __init__(self, index: Index, addresses: Addresses, other: str) -> None:
        self._index = index
        self._addresses = addresses
        self._other = other

    def fewer_files(self, page: Page) -> None:
        del page["files"][len(page["files"]) // 2 :]

    def no_files(self, page: Page) -> None:
        page["files"].clear()

    def files_twice(self, page: Page) -> None:
        page["files"] += [{**file, "yanked": True} for file in page["files"]]

    def foreign_files(self, page: Page) -> None:
        """Name the files of another project as well."""
        view = self._index.project(self._other)
        if view is not None:
            page["files"] += project_page(view, PYPI, self._addresses)["files"]

    def wrong_hashes(self, page: Page) -> None:
        for file in page["files"]:
            file["hashes"] = {"sha256": hashlib.sha256(b"other").hexdigest()}

    def other_hashes(self, page: Page, algorithm: str) -> None:
        """Name the same files by another algorithm."""
        for file in page["files"]:
            content = b"".join(self._index.files_named(file["filename"])[0].content.read())
            file["hashes"] = {algorithm: hashlib.new(algorithm, content).hexdigest()}

    def unsafe_names(self, page: Page) -> None:
        first = page["files"][:1]
        page["files"] += [{**file, "filename": name} for file in first for name in _UNSAFE]

    def swapped_urls(self, page: Page) -> None:
        """Give each file the address of another one."""
        urls = [file["url"] for file in page["files"]]
        for file, url in zip(page["files"], urls[1:] + urls[:1], strict=True):
            file["url"] = url

    def low_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = 1

    def high_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = self._index.serial + 1000

    def absurd_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = 10**15


LIES: Final[dict[str, Callable[[Liar, Any], None]]] = {
    "fewer files": Liar.fewer_files,
    "no files": Liar.no_files,
    "files twice": Liar.files_twice,
    "foreign files": Liar.foreign_files,
    "wrong hashes": Liar.wrong_hashes,
    "other hashes": partial(Liar.other_hashes, algorithm="sha512"),
    "weak hashes": partial(Liar.other_hashes, algorithm="md5"),
    "unsafe names": Liar.unsafe_names,
    "swapped URLs": Liar.swapped_urls,
    "low serial": Liar.low_serial,
    "high serial": Liar.high_serial,
    "absurd serial": Liar.absurd_serial,
}

"""Thirty days with an index without the cooldown: it shows all that upstream has, a run later.

Processes are killed now and then. What a page names is stored at any moment, and what the live
index holds back is nowhere else (`test_cooldown`).
"""

from __future__ import annotations

import json
import re
from posixpath import normpath
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.changes import PROJECTS
from tests.simulation.test_cooldown import DAY, Month, live_through

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.storage import Object

PREFIX = "web/simple-all/"
_HREF = re.compile(r'href="([^"#]+)')


class TwoIndexes(Month):
    """A mirror with both indexes, and readers who poll what pages of the second one name."""

    more: tuple[str, ...] = ("simple-all = true",)

    def __init__(self, seed: int, *, in_lambda: bool) -> None:
        super().__init__(seed, in_lambda=in_lambda)
        self._unstored: list[str] = []
        check = self._disk.on_change

        def on_change(key: str, new: Object | None, old: Object | None) -> None:
            check(key, new, old)
            if key.startswith((PREFIX, "web/packages/")):
                self._check_named(key)

        self._disk.on_change = on_change

    def _check_named(self, changed: str) -> None:
        """Check that all files are stored that pages of the second index name."""
        for key, stored in self._disk.objects.items():
            if not key.startswith(PREFIX) or "/index." not in key:
                continue
            if key.endswith("index.v1_json"):
                files = json.loads(stored.body)["files"]
                links = [each["url"] for each in files]
                links += [f"{each['url']}.metadata" for each in files if each["core-metadata"]]
            else:
                links = _HREF.findall(stored.body.decode())
            paths = [normpath(f"{PREFIX}demo/{link}") for link in links]
            self._unstored += [
                f"{key} names {path} at {self.now}, after {changed}"
                for path in paths
                if path not in self._disk.objects
            ]

    def own(self) -> list[str]:
        """Return the keys of the second index."""
        return [key for key in self._disk.objects if key.startswith(PREFIX)]

    def everything(self, project: str) -> set[str]:
        """Return the files that readers of the second index see."""
        stored = self._disk.objects.get(f"{PREFIX}{project}/index.v1_json")
        page: Any = self._page(project) if stored is None else json.loads(stored.body)
        return {each["filename"] for each in page.get("files", ())}

    def check(self, *, complete: bool, begun: float) -> None:
        super().check(complete=complete, begun=begun)
        assert not self._unstored, "\n".join((*self.history[-60:], *self._unstored[:20]))
        if not complete:
            return
        named = set[str]()
        for project in PROJECTS:
            view = self.index.project(project)
            files = set() if view is None else {each.file.filename for each in view.files}
            why = "\n".join((*self.history[-80:], project))
            assert self.everything(project) == files, why
            if f"{PREFIX}{project}/index.v1_json" in self._disk.objects:
                named |= files - self.shown(project)
            else:
                assert files == self.shown(project), why
        stored = {key.rpartition("/")[2] for key in self.own() if "/packages/" in key}
        why = "\n".join((*self.history[-80:],))
        assert {name.removesuffix(".metadata") for name in stored} == named, why


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("in_lambda", [True, False], ids=["functions", "command"])
def test_thirty_days_of_both_indexes(seed: int, in_lambda: bool) -> None:  # noqa: FBT001
    live_through(TwoIndexes(seed, in_lambda=in_lambda))


@pytest.fixture
def month() -> Iterator[TwoIndexes]:
    month = TwoIndexes(0, in_lambda=True)
    yield month
    month.close()


def test_the_key_is_followed_both_ways(month: TwoIndexes) -> None:
    month.upload("ant", "1.0", earlier=30 * DAY)
    month.upload("ant", "2.0")
    month.run_and_check()
    assert month.own()

    month.more = ()
    month.configure()
    month.run(kills=0)
    assert not month.own()
    assert month.shown("ant") == {"ant-1.0-py3-none-any.whl"}

    month.more = TwoIndexes.more
    month.configure()
    month.run_and_check()
    assert month.everything("ant") == {f"ant-{each}.0-py3-none-any.whl" for each in (1, 2)}

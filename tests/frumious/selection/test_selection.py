"""Which projects and releases are selected."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.model.pages import File, ProjectPage
from frumious.selection.selection import Selection

DEMO = canonicalize_name("demo")
PAGE = ProjectPage(
    name="demo",
    versions=("1.0", "2.0", "3.0a1", "strange"),
    files=tuple(
        File(filename=name, url="", hashes={})
        for name in (
            "demo-1.0.tar.gz",
            "demo-2.0-py3-none-any.whl",
            "demo-3.0a1.tar.gz",
            "demo.strange",
        )
    ),
)


def selection(plugins: str, allow: str = "", block: str = "") -> Selection:
    text = (
        f"[mirror]\ndirectory = /b\n[plugins]\nenabled = {plugins}\n"
        f"[allowlist]\npackages =\n  {allow}\n[blocklist]\npackages =\n  {block}\n"
    )
    return Selection.of(loading.parse(text, {}).filters)


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (selection("", allow="other", block="demo"), True),
        (selection("allowlist_project", allow="Demo # the one"), True),
        (selection("allowlist_project", allow="other"), False),
        (selection("allowlist_project"), True),
        (selection("blocklist_project", block="DEMO"), False),
        (selection("blocklist_project", block="demo>2"), True),
        (selection("all", allow="demo", block="demo"), False),
    ],
)
def test_projects(chosen: Selection, wanted: bool) -> None:  # noqa: FBT001
    assert chosen.wants(DEMO) is wanted


@pytest.mark.parametrize(
    ("chosen", "versions"),
    [
        (selection("allowlist_project", allow="demo==1.0"), PAGE.versions),
        (selection("allowlist_release", allow="demo==1.0"), ("1.0",)),
        (selection("allowlist_release", allow="demo==1.0\n  demo>=3"), ("1.0",)),
        (selection("allowlist_release", allow="demo>=3.0a0"), ("3.0a1",)),
        (selection("allowlist_release", allow="demo"), PAGE.versions),
        (selection("blocklist_release", block="demo>=2"), ("1.0", "strange")),
        (selection("blocklist_release", block="other>=2"), PAGE.versions),
    ],
)
def test_releases(chosen: Selection, versions: tuple[str, ...]) -> None:
    selected = chosen.select(DEMO, PAGE)

    assert selected.versions == versions
    assert len(selected.files) == len(versions)

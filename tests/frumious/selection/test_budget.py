"""Limits on sizes, and the most downloaded projects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.model.pages import File, ProjectPage

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.selection.selection import Selection

DEMO = canonicalize_name("demo")


def enabled(plugins: str, options: str) -> Selection:
    text = f"[mirror]\ndirectory = /b\n[plugins]\nenabled = {plugins}\n{options}"
    config = loading.parse(text, {})
    assert not config.warnings
    return config.selection


def select(selection: Selection, sizes: dict[str, int | None]) -> set[str]:
    files = tuple(File(filename=name, url="", hashes={}, size=size) for name, size in sizes.items())
    page = selection.select(DEMO, ProjectPage(name="demo", files=files))
    assert page is not None
    return {file.filename for file in page.files}


def test_files_up_to_a_limit_are_selected() -> None:
    selection = enabled("max_file_size", "[budget]\nmax-file-size = 1K")

    sizes = {"demo-1.tar.gz": 1024, "demo-2.tar.gz": 1025, "demo-3.tar.gz": None}
    assert select(selection, sizes) == {"demo-1.tar.gz", "demo-3.tar.gz"}
    assert selection.max_file_size == 1024, "what has no size is stopped there"


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ({"1.0": 400, "2.0": 400, "3.0": 400}, {"2.0", "3.0"}),
        ({"1.0": 10, "2.0": 900, "3.0": 400}, {"3.0"}),  # none is missing in between
        ({"1.0": 500, "2.0a1": 400, "2.0a2": 400}, {"1.0", "2.0a2"}),
        ({"1.0": 500, "2.0": 1001}, set[str]()),
        ({"1.0": 500, "2.0": None}, set[str]()),
        ({"1.0": 600, "1.0.post1": 0, "2.0": 1000}, {"1.0.post1", "2.0"}),
    ],
)
def test_the_newest_releases_that_fit_are_selected(
    sizes: dict[str, int | None], kept: set[str]
) -> None:
    selection = enabled("max_project_size", "[budget]\nmax-project-size = 1000")

    files = {f"demo-{version}.tar.gz": size for version, size in sizes.items()}

    assert select(selection, files) == {f"demo-{version}.tar.gz" for version in kept}


def test_a_release_is_selected_as_a_whole() -> None:
    selection = enabled("max_project_size", "[budget]\nmax-project-size = 1000")
    sizes: dict[str, int | None] = {
        "demo-1.0.tar.gz": 10,
        "demo-2.0.tar.gz": 600,
        "demo-2.0-py3-none-any.whl": 600,
        "demo-3.0.tar.gz": 10,
    }

    assert select(selection, sizes) == {"demo-3.0.tar.gz"}


def top(folder: Path, rows: object, projects: str = "2", *, name: str = "top.json") -> str:
    (folder / "top.json").write_text(json.dumps(rows))
    return f"[top]\nprojects = {projects}\nlist = {folder / name}\n"


ROWS = [
    {"download_count": 5, "project": "third"},
    {"download_count": 70, "project": "Most.Downloaded"},
    {"download_count": 60, "project": "second"},
]


def test_the_most_downloaded_projects_are_selected(tmp_path: Path) -> None:
    selection = enabled("top_projects", top(tmp_path, {"last_update": "today", "rows": ROWS}))

    assert set(selection.exact_projects or ()) == {"most-downloaded", "second"}
    assert not selection.wants(canonicalize_name("third"))
    assert selection.expected_projects == frozenset(), "upstream may lack some"


@pytest.mark.parametrize(
    ("rows", "projects", "name", "problem"),
    [
        ({"rows": ROWS}, "4", "top.json", "the list has no more than 3 projects"),
        ({"rows": ROWS}, "0", "top.json", "[top] projects = '0'"),
        ({"rows": []}, "1", "top.json", "lists no project"),
        ({"rows": [{"project": "x"}]}, "1", "top.json", "is no list of download counts"),
        ({"rows": [{"project": "../x", "download_count": 1}]}, "1", "top.json", "is no list"),
        (ROWS, "1", "top.json", "is no list of download counts"),
        ({"rows": ROWS}, "1", "other.json", "cannot be read: No such file"),
    ],
)
def test_a_wrong_list_is_refused(
    tmp_path: Path, rows: object, projects: str, name: str, problem: str
) -> None:
    with pytest.raises(loading.ConfigError) as caught:
        enabled("top_projects", top(tmp_path, rows, projects, name=name))
    assert problem in str(caught.value)


@pytest.mark.parametrize("options", ["", "[top]\nprojects = 5\n"])
def test_half_of_a_list_would_allow_all(options: str) -> None:
    with pytest.raises(loading.ConfigError, match="top_projects would allow all projects"):
        enabled("top_projects", options)


def test_limits_without_their_filter_are_named() -> None:
    text = "[mirror]\ndirectory = /b\n[budget]\nmax-file-size = 1K\n"

    (warning,) = loading.parse(text, {}).warnings

    assert "[budget] max-file-size has no effect: it needs max_file_size" in warning

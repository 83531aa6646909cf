"""The examples of docs/selection.md do what it says."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.config.settings import PYPI
from frumious.mirror import CLOCK
from frumious.model.pages import File, ProjectPage
from frumious.planning.lists import read_lists
from frumious.selection.subject import Context
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.model.types import JsonObject
    from frumious.selection.selection import Selection

DOCUMENT = (CHECKOUT / "docs/selection.md").read_text()
NOW = datetime(2026, 11, 27, tzinfo=UTC)
DEMO = canonicalize_name("demo")
# An example, and the names after it.
EXAMPLES = re.findall(r"```ini\n(.+?)```\n\n((?:- [^\n]*\n)*)", DOCUMENT, re.DOTALL)
UV_LOCK = f"""
version = 1
[[package]]
name = "demo"
version = "1.0"
source = {{ registry = "{PYPI}/simple" }}
sdist = {{ url = "https://files.example/packages/a/demo-1.0.tar.gz" }}
"""
LEGACY: JsonObject = {
    "info": {
        "classifiers": ["Programming Language :: Python :: 3"],
        "requires_python": ">=3.9",
    },
    "releases": {
        "1.0": [
            {"filename": "demo-1.0.tar.gz", "packagetype": "sdist"},
            {"filename": "demo-1.0.win32-py2.7.exe", "packagetype": "bdist_wininst"},
        ],
        "9.0": [{"filename": "demo-9.0-py3-none-any.whl", "requires_python": "<3"}],
    },
}


def uploaded(filename: str) -> str:
    """Return an upload time: version 1.0 is old."""
    return (NOW - timedelta(days=300 if "-1.0" in filename else 1)).isoformat()


def parse(example: str, tmp_path: Path) -> Selection:
    (tmp_path / "requirements.txt").write_text("demo==1.0\n")
    (tmp_path / "team-a.txt").write_text("other\n")
    rows = [
        {"download_count": 9 - i, "project": name}
        for i, name in enumerate(("demo", "other", "third"))
    ]
    (tmp_path / "top-pypi-packages.json").write_text(json.dumps({"rows": rows}))
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    text = f"[mirror]\ndirectory = /mirror\n{example.replace('/etc/frumious', str(tmp_path))}"
    config = loading.parse(text, {})
    assert not config.warnings
    return config.selection.with_lists(asyncio.run(read_lists(config, CLOCK)))


@pytest.mark.parametrize(("example", "names"), EXAMPLES)
def test_examples_select_what_they_say(example: str, names: str, tmp_path: Path) -> None:
    selection = parse(example, tmp_path)
    found = dict(re.findall(r"- (stays|goes|waits): (.+)", names))
    stays = re.findall(r"`([^`]+)`", found.get("stays", ""))
    goes = re.findall(r"`([^`]+)`", found.get("goes", "") + found.get("waits", ""))
    files = [name for name in (*stays, *goes) if "." in name]
    page = ProjectPage(
        name="demo",
        files=tuple(
            File(filename=name, url="", hashes={}, size=1000, upload_time=uploaded(name))
            for name in files
        ),
    )
    selected = selection.select(DEMO, page, Context(now=NOW.timestamp(), legacy=LEGACY))
    assert selected is not None
    kept = {file.filename for file in selected.files}
    assert kept == {name for name in stays if "." in name}
    for name in {*stays, *goes} - {*files}:
        assert selection.wants(canonicalize_name(name)) is (name in stays)


def test_every_filter_is_documented_in_the_order_in_which_it_applies(tmp_path: Path) -> None:
    names = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    listing = {"allowlist_project", "project_locks", "top_projects"}  # they need a list
    others = [name for name in names if name not in listing]
    everything = parse("[plugins]\nenabled =\n  " + "\n  ".join(others), tmp_path)
    assert len(names) == len(set(names)) == 22
    assert everything.exact_projects is None
    for name in names:
        assert any(name in example.split() for example, _ in EXAMPLES), name

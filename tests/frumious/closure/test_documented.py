"""The example of docs/selection.md is a run of the command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from localcloud.environment import CHECKOUT
from tests.frumious.cli.test_cli import frumious
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

SECTION: Final = re.split("^## ", (CHECKOUT / "docs/selection.md").read_text(), flags=re.MULTILINE)
TEXT: Final = next(each for each in SECTION if each.startswith("What projects need"))
RELEASES: Final = re.findall(r"^\| `(\S+) (\S+)` \| (.*) \|$", TEXT, re.MULTILINE)
RESULTS: Final = re.findall(
    r"^- `closure = (\w+)`(?: with `(.+?)`)?: ((?:.|\n  )+)$", TEXT, re.MULTILINE
)
SESSION: Final = re.search(r"    \$ frumious (explain .*)\n((?:    .*\n)+)", TEXT)


def command(conf: Path, *arguments: str) -> str:
    done = frumious("-c", str(conf), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(index: Index, upstream: Server, conf: Path, closure: str, options: str) -> None:
    for name, version, requires in RELEASES:
        index.upload(wheel(name, version, requires=re.findall("`(.+?)`", requires)))
    conf.write_text(
        f"[mirror]\ndirectory = {conf.parent / 'mirror'}\nmaster = {upstream.url}\n"
        "allow-non-https = true\n[plugins]\nenabled = allowlist_project\n"
        f"[allowlist]\npackages = demo[fast]\n[closure]\nclosure = {closure}\n{options}\n"
    )


@pytest.mark.parametrize("result", RESULTS)
def test_a_run_mirrors_what_the_document_says(
    index: Index, upstream: Server, tmp_path: Path, result: tuple[str, str, str]
) -> None:
    conf = tmp_path / "mirror.conf"
    closure, options, names = result
    write(index, upstream, conf, closure, options)
    command(conf, "mirror")
    wheels = (tmp_path / "mirror/web/packages").rglob("*.whl")
    found = {" ".join(wheel.name.split("-")[:2]) for wheel in wheels}
    assert found == {"demo 1.0", "demo 2.0", *re.findall("`(.+?)`", names)}
    assert "Nothing to do" in command(conf, "plan"), "one run finds all of it"


def test_explain_shows_the_way(index: Index, upstream: Server, tmp_path: Path) -> None:
    assert len(RESULTS) == 3
    assert SESSION is not None
    conf = tmp_path / "mirror.conf"
    write(index, upstream, conf, "true", "")
    command(conf, "mirror")
    shown = "".join(line[4:] + "\n" for line in SESSION[2].splitlines())
    assert command(conf, *SESSION[1].split()) == shown
    assert "Closure: 4 projects needed by others" in command(conf, "status")

"""Slips of a person, in mirror.conf or on the command line, lose nothing that the mirror has.

Each one is tried with the command, against a mirror of several projects. It says what is wrong, and
exits with another status than 0 unless it only warns. Every stored page and file stays as it was.
Once the slip is corrected, the next run is content.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from frumious.config.settings import PYPI as DEFAULT
from tests.frumious.cli.test_cli import frumious
from tests.upstream import PYPI, Fault, Index, Server, Status, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_NAMES = ("charset", "idna", "requests", "urllib3")
_CONFIGURATION = """\
[mirror]
directory = {folder}
master = {master}
allow-non-https = true
timeout = 2
workers = 4

[plugins]
enabled =
    allowlist_project
    allowlist_release

[allowlist]
packages =
    charset
    idna
    requests
    urllib3
"""
_BLOCKLIST = "\n[blocklist]\npackages =\n    idna\n    requests\n"


@dataclass(frozen=True)
class Place:
    """A mirror, its configuration and its upstream."""

    upstream: Server
    other: Server  # another index
    folder: Path
    conf: Path

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command; return its exit status and what it prints."""
        done = frumious("-c", str(self.conf), *arguments)
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    def contents(self) -> Mapping[str, bytes]:
        """Return all project pages and files, by path."""
        return {
            str(path.relative_to(self.folder)): _without_own_keys(path)
            for directory in ("web/simple", "web/packages")
            for path in (self.folder / directory).rglob("*")
            if path.is_file() and path.parent.name != "simple"
        }


def _without_own_keys(path: Path) -> bytes:
    """Return a file's bytes; of a JSON page what readers use, without the mirror's own notes."""
    body = path.read_bytes()
    if ".v1_json" not in path.name:
        return body
    page = json.loads(gzip.decompress(body) if path.suffix == ".gz" else body)
    page["meta"].pop("_frumious")
    return json.dumps(page).encode()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, Path]]:
    """Return upstream, another index, and a folder with a mirror."""
    index, other = Index(), Index()
    for name in _NAMES:
        index.upload(wheel(name, "1.0"))
        index.upload(sdist(name, "2.0"))
    index.upload(wheel("unrelated", "1.0"))
    other.upload(wheel("unrelated", "1.0"))
    folder = tmp_path_factory.mktemp("filled")
    with Server(index) as upstream, Server(other) as second:
        conf = folder / "mirror.conf"
        conf.write_text(_CONFIGURATION.format(folder=folder / "mirror", master=upstream.url))
        done = frumious("-c", str(conf), "mirror")
        assert done.returncode == 0, done.stderr
        yield upstream, second, folder / "mirror"


@pytest.fixture
def place(filled: tuple[Server, Server, Path], tmp_path: Path) -> Place:
    upstream, other, mirror = filled
    folder = tmp_path / "mirror"
    shutil.copytree(mirror, folder, symlinks=True)
    conf = tmp_path / "mirror.conf"
    conf.write_text(_CONFIGURATION.format(folder=folder, master=upstream.url))
    return Place(upstream, other, folder, conf)


@dataclass(frozen=True)
class Slip:
    """What a person does wrong, and what the command answers."""

    name: str
    status: int
    message: str  # a regular expression
    edit: Callable[[str], str] = field(default=lambda text: text)
    arguments: tuple[str, ...] = ("mirror",)
    other: bool = False  # `master` is another index
    apis: bool = True  # upstream has a changelog
    corrected: tuple[str, ...] = ("mirror",)  # the arguments after the correction


def change(old: str, new: str) -> Callable[[str], str]:
    """Return an edit that replaces a text of the configuration."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def option(line: str) -> Callable[[str], str]:
    """Return an edit that adds an option to [mirror]."""
    return change("[mirror]\n", f"[mirror]\n{line}\n")


def file_filters(text: str) -> str:
    """Enable all filters, and configure one that does not exist."""
    return re.sub(r"enabled =[^\[]*", "enabled = all\n", text) + "[filter_sizes]\nlimit = 1\n"


def master(suffix: str) -> Callable[[str], str]:
    """Return an edit that appends a text to `master`."""
    return lambda text: re.sub(r"(master = \S+)", rf"\g<1>{suffix}", text)


_STAY = r"these stay until somebody confirms {} removals? .*--confirm-removals {}'"

SLIPS = (
    # master
    Slip("query", 2, r"must be a URL without a query; 'http://\S+' is one", master("?a=1")),
    Slip("path", 1, "master is another index", master("/pypi")),
    Slip(
        "path-reset",
        1,
        "no root index and no project page",
        master("/pypi"),
        ("mirror", "--reset-serials"),
    ),
    Slip(
        "pypi-path",
        2,
        f"must be {DEFAULT!r}, without",
        lambda text: re.sub(r"master = .*", f"master = {DEFAULT}/pypi", text),
    ),
    Slip("no-scheme", 2, "must be a URL that begins with https", change("= http://", "= ")),
    Slip("another-index", 1, "master is another index", other=True),
    Slip(
        "another-index-reset",
        1,
        "no event reports its removal",
        arguments=("mirror", "--reset-serials"),
        other=True,
        corrected=("mirror", "--reset-serials"),
    ),
    Slip(
        "may-lose",
        1,
        "the mirror follows another index than 'master'",
        master("/pypi"),
        ("sync", "idna", "--may-lose"),
        corrected=("sync", "idna"),
    ),
    Slip(
        "sync-elsewhere",
        1,
        "the mirror follows another index than 'master'",
        arguments=("sync", "idna"),
        other=True,
        corrected=("sync", "idna"),
    ),
    # the allowlist
    Slip("typo", 1, _STAY.format(1, 1), change("    idna", "    inda")),
    Slip("typo-absent", 1, "inda.* did you mean 'idna'", change("    idna", "    inda")),
    Slip("truncated", 1, _STAY.format(3, 3), lambda text: text[: text.index("    idna")]),
    Slip(
        "force-check", 1, _STAY.format(1, 1), change("    idna\n", ""), ("mirror", "--force-check")
    ),
    Slip("planned", 1, _STAY.format(1, 1), change("    idna\n", ""), ("plan",)),
    Slip(
        "specifier",
        0,
        "idna>=99: has no effect without allowlist_release",
        lambda text: text.replace("    allowlist_release\n", "").replace(
            "    idna", "    idna>=99"
        ),
    ),
    Slip("emptied", 2, "lists no project", lambda text: text[: text.index("    charset")]),
    Slip("list-section", 2, r"did you mean 'allowlist'", change("[allowlist]", "[alowlist]")),
    Slip(
        "plugins-section",
        2,
        "has no effect, so all projects would",
        change("[plugins]", "[plugin]"),
    ),
    Slip("plugin-name", 2, "allowlist_projects is unknown", change("_project\n", "_projects\n")),
    Slip("no-plugin", 2, "no effect, so all projects would be", change("allowlist_", ";")),
    Slip(
        "list-section-of-all",
        2,
        r"no filter that reads \[alowlist\]",
        lambda text: text.replace(
            "enabled =\n    allowlist_project\n    allowlist_release", "enabled = all"
        ).replace("[allowlist]", "[alowlist]"),
    ),
    Slip("other-filter", 2, r"no filter that reads \[filter_sizes\]", file_filters),
    Slip(
        "lines",
        2,
        "'idna requests' .*'=urllib3'",
        change("idna\n    requests\n    ", "idna requests\n    ="),
    ),
    Slip("no-release", 1, "select none of upstream's 2 files", change("    idna", "    idna>=99")),
    Slip(
        "blocked-releases",
        1,
        "select none of upstream's 2 files",
        lambda text: (
            text.replace("allowlist_release", "blocklist_release")
            + "[blocklist]\npackages = idna>0\n"
        ),
    ),
    Slip(
        "blocked",
        1,
        _STAY.format(2, 2),
        lambda text: text.replace("allowlist_release", "blocklist_project") + _BLOCKLIST,
    ),
    # other options
    Slip(
        "relative",
        2,
        "must be the absolute path of a folder",
        change("directory = /", "directory = "),
    ),
    Slip("unclosed", 2, r"line 1 is a \[section\] without its '\]'", change("[mirror]", "[mirror")),
    Slip(
        "number", 2, "must be a whole number from 1 to 10", change("workers = 4", "workers = 400")
    ),
    Slip("boolean", 2, "must be true or false", option("release-files = flase")),
    Slip("choice", 2, "must be one of auto", option("discovery = indx")),
    Slip("twice", 2, "is a second time in line", option("workers = 3")),
    Slip("limit", 2, "must be a share and a number", option("max-removals = 5")),
    Slip("log-config", 2, "log-config .*no-such-file", option("log-config = /no-such-file.ini")),
    Slip(
        "key-with-error",
        2,
        "wrkers is unknown .*did you mean 'workers'",
        option("wrkers = 3\njson = 2"),
    ),
    Slip("proxy", 1, "proxy", option("proxy = http://127.0.0.1:9")),
    Slip("https", 1, "http://", change("= http://", "= https://")),
    # the command line
    Slip("no-number", 2, "requires an argument", arguments=("mirror", "--confirm-removals")),
    Slip("misspelt-verb", 2, "No such command", arguments=("miror",)),
    Slip("absent", 1, "inda: neither upstream nor the mirror", arguments=("sync", "inda")),
    Slip("no-name", 2, "is not a project's name", arguments=("sync", "id/na")),
    # without a changelog
    Slip(
        "path-names",
        1,
        "no root index and no project page",
        master("/pypi"),
        ("mirror", "--reset-serials"),
        apis=False,
    ),
    Slip("typo-names", 1, _STAY.format(1, 1), change("    idna", "    inda"), apis=False),
    Slip(
        "path-index",
        1,
        "no root index and no project page",
        lambda text: option("discovery = index")(master("/pypi")(text)),
        ("mirror", "--reset-serials"),
        apis=False,
    ),
)


@pytest.mark.parametrize("slip", [pytest.param(slip, id=slip.name) for slip in SLIPS])
def test_a_slip_loses_nothing(place: Place, slip: Slip) -> None:
    correct = place.conf.read_text()
    before = place.contents()
    assert sum(path.startswith("web/packages/") for path in before) >= 2 * len(_NAMES)
    wrong = correct.replace(place.upstream.url, place.other.url) if slip.other else correct
    place.conf.write_text(slip.edit(wrong))
    place.upstream.personality = replace(PYPI, apis=slip.apis)

    status, output = place.run(*slip.arguments)
    assert before.items() <= place.contents().items()
    assert re.search(slip.message, output), output
    assert status == slip.status, output

    place.conf.write_text(correct)
    status, output = place.run(*slip.corrected)
    place.upstream.personality = PYPI
    assert before.items() <= place.contents().items()
    assert status == 0, output


@pytest.mark.parametrize("suffix", ["/simple", "/simple/", "/"])
def test_the_url_of_the_simple_api_is_understood(place: Place, suffix: str) -> None:
    before = place.contents()
    place.conf.write_text(master(suffix)(place.conf.read_text()))

    status, output = place.run("mirror")

    assert status == 0, output
    assert place.contents() == before


@pytest.mark.parametrize("options", ["", "discovery = names", "discovery = index"])
@pytest.mark.parametrize("path", ["/", "/simple/"])
def test_an_upstream_that_answers_404_is_an_outage(place: Place, options: str, path: str) -> None:
    before = place.contents()
    place.conf.write_text(option(options)(place.conf.read_text()))
    fault = place.upstream.faults.add(Fault(Status(404), path))
    place.upstream.personality = replace(PYPI, apis=not options)
    try:
        for arguments in ((), ("--force-check",), ("--confirm-removals", "4")):
            place.run("mirror", *arguments)
            assert before.keys() <= place.contents().keys(), arguments
    finally:
        place.upstream.faults.remove(fault)
        place.upstream.personality = PYPI

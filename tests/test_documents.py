"""Every Markdown file names only existing links, anchors, paths and make targets."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = PurePosixPath("shared/frumious")  # documents may name its packages without this prefix
NOT_OURS = frozenset(
    {
        *("web", "state"),  # folders of a mirror
        *("application", "binary", "text"),  # media types
    }
)

_FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s[^)]*)?\)|^ *\[[^\]]+\]:\s+<?(\S+?)>?$", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+/?|[\w-]+\.(?:md|py)")
_MAKE = re.compile(r"^[ $]*make((?: +[a-z][a-z-]*(?![\w=-]))+)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)


@dataclass(frozen=True)
class Repository:
    """The names that documents may use."""

    root: Path
    files: frozenset[PurePosixPath]
    folders: frozenset[PurePosixPath]
    ignored: tuple[str, ...]  # patterns of .gitignore
    targets: frozenset[str]  # of the Makefile

    @classmethod
    def read(cls, root: Path) -> Repository:
        """List the files that git tracks or would add."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
        paths = [path for path in listing.stdout.split("\0") if path and (root / path).is_file()]
        files = frozenset(PurePosixPath(path) for path in paths)
        return cls(
            root,
            files,
            frozenset(folder for file in files for folder in file.parents),
            tuple(re.findall(r"^[^#\s]+$", (root / ".gitignore").read_text(), re.MULTILINE)),
            frozenset(_TARGET.findall((root / "Makefile").read_text())),
        )

    def documents(self) -> list[str]:
        return sorted(str(file) for file in self.files if file.suffix == ".md")

    def has(self, name: str, document: PurePosixPath) -> bool:
        """Say whether a path in backticks exists in the repository."""
        top, _, rest = name.partition("/")
        if top in NOT_OURS or any(fnmatch(top, pattern.strip("/")) for pattern in self.ignored):
            return True
        if not rest:
            return any(file.name == name for file in self.files)
        if "*" in name:
            return any(file.match(name) for file in self.files)
        return any(
            base / f"{name}{suffix}" in self.files | self.folders
            for base in (PurePosixPath(), document.parent, PACKAGE)
            for suffix in ("", ".py")
        )

    def problems(self, document: str) -> list[str]:
        """Return a problem for each name in the document that does not exist."""
        text = (self.root / document).read_text()
        return [
            *self._broken_links(text, PurePosixPath(document)),
            *self._missing_paths(text, PurePosixPath(document)),
            *self._missing_targets(text),
        ]

    def _broken_links(self, text: str, document: PurePosixPath) -> Iterator[str]:
        for inline, reference in _LINK.findall(_CODE_SPAN.sub("", _FENCED.sub("", text))):
            link = inline or reference
            if re.match(r"[a-z][a-z+.-]*:|//", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = PurePosixPath(normpath(document.parent / path)) if path else document
            if target not in self.files | self.folders:
                yield f"the link {link!r} leads nowhere"
            elif anchor and anchor not in _anchors((self.root / target).read_text()):
                yield f"the link {link!r} leads to no heading"

    def _missing_paths(self, text: str, document: PurePosixPath) -> Iterator[str]:
        for span in _CODE_SPAN.findall(_FENCED.sub("", text)):
            for word in span.split():
                if _PATH.fullmatch(word) and "..." not in word and not self.has(word, document):
                    yield f"there is no {word!r}"

    def _missing_targets(self, text: str) -> Iterator[str]:
        for code in [*_CODE_SPAN.findall(_FENCED.sub("", text)), *_code_blocks(text)]:
            for words in _MAKE.findall(code):
                for target in words.split():
                    if target not in self.targets:
                        yield f"make has no target {target!r}"


def _code_blocks(text: str) -> list[str]:
    indented = [line for line in text.splitlines() if line.startswith("    ")]
    return [*(block[0] for block in re.finditer(_FENCED, text)), *indented]


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives a document's headings."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        count = sum(
            re.fullmatch(rf"{re.escape(slug)}(-\d+)?", known) is not None for known in anchors
        )
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors


def test_documents_name_only_what_exists() -> None:
    repository = Repository.read(CHECKOUT)
    documents = repository.documents()
    assert "README.md" in documents
    problems = {document: repository.problems(document) for document in documents}
    assert {document: found for document, found in problems.items() if found} == {}


def test_each_guarantee_names_its_adversary_mechanism_and_test() -> None:
    text = (CHECKOUT / "docs/security.md").read_text()
    tables = text.partition("\n## What is guaranteed\n")[2].partition(
        "\n## What is not promised\n"
    )[0]
    rows = [line.strip("| ").split(" | ") for line in tables.splitlines() if line.startswith("|")]
    files = Repository.read(CHECKOUT).files
    assert ["guarantee", "adversary", "mechanism", "test"] in rows
    for row in rows:
        assert len(row) == 4, row[0]
        assert all(row), row
        assert re.search("`tests?[_/]|`make |^(test|---|AWS|review)", row[3]), row
        for name in re.findall(r"`(test_\w+\.py)`", row[3]):
            found = [path for path in files if path.name == name]
            assert len(found) == 1 or re.search("(of|in) (`tests/|`make )", row[3]), (row[0], found)


@pytest.fixture
def example(tmp_path: Path) -> Repository:
    """A small repository with one document that names only what exists."""
    texts = {
        "Makefile": "flags := x\ntest: ## Run\nlint:\n",
        ".gitignore": "# Environments\n/.venv-*/\n",
        "docs/guide.md": GOOD,
        "docs/other.md": "# Two words\n\n# `code`: and a [link](guide.md)\n\n# Two words\n",
        "shared/frumious/package/step.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # noqa: S607
    return Repository.read(tmp_path)


GOOD = """
# The title

[page](other.md), [folder](../docs), [title](#the-title), [second](other.md#two-words-1),
[code](other.md#code-and-a-link), [elsewhere](https://example.org/x#y), `other.md`, `step.py`,
`shared/frumious/package/`, `package/step`, `docs/*.md`, `web/simple/x`, `.venv-lambda/bin`,
`make lint`.

    make test lint ARGS="x"
"""


def test_existing_paths_are_no_problem(example: Repository) -> None:
    assert example.documents() == ["docs/guide.md", "docs/other.md"]
    assert example.problems("docs/guide.md") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](missing.md)", "the link 'missing.md' leads nowhere"),
        ("[x](../../outside.md)", "the link '../../outside.md' leads nowhere"),
        ("[x][y]\n\n[y]: missing.md", "the link 'missing.md' leads nowhere"),
        ("[x](#no-heading)", "the link '#no-heading' leads to no heading"),
        ("[x](other.md#two-words-2)", "the link 'other.md#two-words-2' leads to no heading"),
        ("`docs/missing.md`", "there is no 'docs/missing.md'"),
        ("`doc/other.md`", "there is no 'doc/other.md'"),
        ("`shared/frumious/missing/`", "there is no 'shared/frumious/missing/'"),
        ("`bash docs/missing`", "there is no 'docs/missing'"),
        ("`docs/*.rst`", "there is no 'docs/*.rst'"),
        ("`missing.py`", "there is no 'missing.py'"),
        ("`make missing`", "make has no target 'missing'"),
        ("`make lint missing`", "make has no target 'missing'"),
        ("    make missing  # a comment", "make has no target 'missing'"),
        ("```\n$ make missing\n```", "make has no target 'missing'"),
    ],
)
def test_missing_paths_are_a_problem(example: Repository, text: str, problem: str) -> None:
    (example.root / "docs/guide.md").write_text(f"{GOOD}\n{text}\n")
    assert example.problems("docs/guide.md") == [problem]

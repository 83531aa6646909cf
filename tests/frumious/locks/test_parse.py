"""Lock files as the tools write them, and damaged ones.

`made/` has what uv, pip, Poetry, PDM and Pipenv made of one index, here with example addresses, of
another one at `second.example`, and of packages from Git, folders and single addresses.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from frumious.locks import found as found_module
from frumious.locks import requirements
from frumious.locks.parse import InvalidList, parse_list
from frumious.model.pages import File

MADE = Path(__file__).parent / "made"
DEMO = canonicalize_name("demo")
INDEX = ["https://upstream.example"]
WHEEL = "demo-2.0-py3-none-any.whl"
SDIST = "demo-2.0.tar.gz"
WINDOWS = "demo-2.0-cp39-cp39-win_amd64.whl"
HASHES = {
    WHEEL: "1a305c3129cc17e91436ff7d59ad25b000f6d00f5cc33d1c8f4a2eaa0a48375b",
    SDIST: "b605abe123fc150502dcd0fb11334b7bb14b569c06fb5a118da70d204b03a95c",
    WINDOWS: "8856a8ff73876103ebf03a8818ba28642498194ac00ffcddd2a753b98bdea7a9",
}


def file_of(name: str, sha256: str) -> File:
    return File(filename=name, url="", hashes={"sha256": sha256})


@pytest.mark.parametrize(
    ("name", "files", "left_out"),
    [
        ("uv.lock", {WHEEL, SDIST}, {"direct", "elsewhere", "fromgit", "localdep"}),
        (
            "pylock.uv.toml",
            {WHEEL, SDIST},
            {"direct", "elsewhere", "fromgit", "localdep", "member"},
        ),
        ("pylock.pip.toml", {WHEEL}, {"direct", "fromgit", "localdep"}),
        ("pylock.pdm.toml", {WHEEL, SDIST}, {"direct", "localdep"}),
        ("poetry.lock", {WHEEL, SDIST, WINDOWS}, {"direct", "elsewhere", "fromgit", "localdep"}),
        ("pdm.lock", {WHEEL, SDIST}, {"direct", "localdep"}),
        ("pdm.static.lock", {WHEEL, SDIST}, set()),
        ("Pipfile.lock", {WHEEL, SDIST, WINDOWS}, {"elsewhere", "fromgit", "localdep"}),
    ],
)
def test_what_each_tool_locks(name: str, files: set[str], left_out: set[str]) -> None:
    found = parse_list(name, (MADE / name).read_bytes(), INDEX)
    assert found.pins.keys() - {"third"} == {"demo", "other-one"}
    (pin,) = found.pins[DEMO]
    assert pin.version == "==2.0"
    matching = {
        file
        for file, sha256 in HASHES.items()
        if any(each.matches(file_of(file, sha256)) for each in pin.files)
    }
    assert matching == files
    assert not any(each.matches(file_of(WHEEL, "00" * 32)) for each in pin.files), "other bytes"
    assert {text.partition(":")[0] for text in found.left_out} == left_out


def test_requirements_with_hashes() -> None:
    name = "requirements-uv.txt"
    found = parse_list(name, (MADE / name).read_bytes(), INDEX)
    assert found.pins.keys() == {"demo", "other-one", "elsewhere"}, "pip has one index"
    (pin,) = found.pins[DEMO]
    assert pin.version == "==2.0"
    assert any(each.matches(file_of(SDIST, HASHES[SDIST])) for each in pin.files)
    assert [text.partition(":")[0] for text in found.left_out] == [
        *("line 3", "line 5"),
        *("direct", "fromgit"),
    ]


@pytest.mark.parametrize("url", ["https://mirror.example/simple/", "http://MIRROR.example/simple"])
def test_other_addresses_of_the_index(url: str) -> None:
    text = (MADE / "uv.lock").read_text().replace("upstream.example", "mirror.example")
    assert not parse_list("uv.lock", text.encode(), INDEX).pins
    assert parse_list("uv.lock", text.encode(), [*INDEX, url]).pins.keys() == {"demo", "other-one"}


def test_requirements_without_pins_and_with_an_index() -> None:
    text = (
        "demo>=1 ; python_version > '3'\nOther[extra] # all\n\n--index-url https://x.example\na\n"
    )
    found = parse_list("team.in", text.encode(), INDEX)
    assert {name: [pin.version for pin in pins] for name, pins in found.pins.items()} == {
        "demo": [">=1"],
        "other": [""],
    }
    assert found.left_out == ["a: https://x.example"]


def test_a_file_without_hashes_is_pinned_by_its_name() -> None:
    text = (
        'version = 1\n[[package]]\nname = "demo"\nversion = "1.0"\n'
        'source = { registry = "https://upstream.example/simple" }\n'
        'wheels = [{ url = "https://x.example/a/demo-1.0%2Bcu1-py3-none-any.whl" }]\n'
    )
    (pin,) = parse_list("uv.lock", text.encode(), INDEX).pins[DEMO]
    assert [each.name for each in pin.files] == ["demo-1.0+cu1-py3-none-any.whl"]
    assert pin.files[0].matches(file_of("demo-1.0+cu1-py3-none-any.whl", "00" * 32))


def test_older_formats_of_poetry_keep_the_files_apart() -> None:
    text = (
        '[[package]]\nname = "demo"\nversion = "2.0"\n[metadata]\nlock-version = "1.1"\n'
        f'[metadata.files]\ndemo = [{{file = "{WHEEL}", hash = "sha256:{HASHES[WHEEL]}"}}]\n'
    )
    (pin,) = parse_list("poetry.lock", text.encode(), INDEX).pins[DEMO]
    assert [each.name for each in pin.files] == [WHEEL]


UV = """version = 1
[[package]]
name = "demo"
source = { registry = "https://upstream.example/simple" }
"""
PIPFILE = '{"_meta": {"pipfile-spec": 6}, "default": {"demo": %s}}'


@pytest.mark.parametrize(
    ("name", "text", "mistake"),
    [
        ("a.lock", "version = \n", "a.lock is invalid: Invalid value (at line 1"),
        ("a.lock", "", "it is no pylock.toml, uv.lock"),
        ("a.lock", "[package]", "it is no pylock.toml, uv.lock"),
        ("uv.lock", "version = 2", "version 2; known is 1"),
        ("uv.lock", "version = 1\npackage = 1", "Expected `array`, got `int` - at `$.package`"),
        ("uv.lock", "version = 1\npackage = [1]", "package 1 (None): Expected `object`"),
        ("uv.lock", f"{UV}version = 'x'", "package 1 ('demo'): Invalid version: 'x'"),
        ("uv.lock", f"{UV}version = 1", "package 1 ('demo'): Expected `str`, got `int`"),
        ("uv.lock", UV.replace("demo", "-"), "package 1 ('-'): '-' is not a project's name"),
        ("uv.lock", f"{UV}wheels = [{{url = 'a', hash = 'sha256:1'}}]", "regex"),
        ("uv.lock", f"{UV}sdist = {{url = 'https://[x'}}", "package 1 ('demo'): "),
        ("uv.lock", f"x = {'[' * 5000}", "nested too deeply"),
        ("uv.lock", f"version = {'1' * 5000}", "invalid: "),
        ("pylock.toml", 'lock-version = "2.0"\npackages = []', "version '2.0'; known is 1.x"),
        ("pylock.toml", 'lock-version = "1.0"', "missing required field `packages`"),
        ("poetry.lock", '[metadata]\nlock-version = "9.0"', "version '9.0'; known is 1.x, 2.x"),
        ("pdm.lock", '[metadata]\nlock_version = "9.0"', "version '9.0'; known is 4.x"),
        ("Pipfile.lock", "{", "invalid: "),
        ("Pipfile.lock", "{}", "_meta: Expected `object`, got `null`"),
        ("Pipfile.lock", PIPFILE % "1", "default 'demo': Expected `object`"),
        ("Pipfile.lock", PIPFILE % '{"version": "=1"}', "default 'demo': Invalid specifier"),
        ("Pipfile.lock", PIPFILE % '{"hashes": ["a"]}', "default 'demo': "),
        ("Pipfile.lock", PIPFILE % "[" * 100_000, "invalid: "),
        ("a.txt", "demo\n\ndemo=1\n", "line 3: "),
        ("a.txt", "demo --hash=md5:1\n", "line 1: "),
        ("a.txt", "demo==1 \\\n", None),
        ("a.txt", "\ud800", "invalid: "),
    ],
)
def test_damaged_lists_are_named_with_what_is_wrong(
    name: str, text: str, mistake: str | None
) -> None:
    data = text.encode("utf-8", "surrogatepass")
    if mistake is None:
        parse_list(name, data, INDEX)
        return
    with pytest.raises(InvalidList) as raised:
        parse_list(name, data, INDEX)
    assert str(raised.value).startswith(f"{name} is invalid: ")
    assert mistake in str(raised.value)


def test_passwords_in_lists_are_not_shown() -> None:
    text = UV.replace("https://", "https://user:secret@").replace("upstream.example", "x.example")
    found = parse_list("uv.lock", text.encode(), INDEX)
    assert "secret" not in str(found.left_out)


MANY = 300_000
_HEAD, _, PACKAGE = UV.partition("\n")
SLOW = {
    "packages": ("a.txt", "demo==1\n" * 1001),
    "paths": ("a.txt", "./x\n" * 1001),
    "specifiers": ("a.txt", f"demo{','.join(['==1'] * MANY)}\n"),
    "extras": ("a.txt", f"demo[{','.join(['x'] * MANY)}]\n"),
    "codec": ("a.txt", f"# coding: punycode\n{'b' * MANY}-{'a' * MANY}"),
    "tables": ("uv.lock", f"{_HEAD}\n{PACKAGE * 1001}"),
    "key": ("uv.lock", f"{'.'.join(['a'] * MANY)} = 1"),
    "table": ("uv.lock", f"[{'.'.join(['a'] * MANY)}]"),
    "quoted key": ("uv.lock", ".".join(['"a b"'] * MANY) + " = 1"),
    "open quotes": ("uv.lock", "." * 60 + '"' + '\\"' * MANY),
    "version": ("uv.lock", f"{UV}version = '{'.'.join(['1'] * MANY)}'"),
    "specifier": ("Pipfile.lock", PIPFILE % f'{{"version": "{",".join(["==1"] * MANY)}"}}'),
}


@pytest.mark.parametrize("case", SLOW)
def test_lists_that_would_take_hours_are_refused_within_seconds(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_module, "MAX_ENTRIES", 1000)
    monkeypatch.setattr(requirements, "MAX_ENTRIES", 1000)
    name, text = SLOW[case]
    begun = time.process_time()

    with pytest.raises(InvalidList, match=r"more than|longer than|not an encoding"):
        parse_list(name, text.encode(), INDEX)

    assert time.process_time() - begun < 5


def test_lines_of_a_lock_may_be_long() -> None:
    wheels = ", ".join(
        f'{{ name = "demo-1.{n}.0.whl", url = "https://a.b.c/d.e" }}' for n in range(100)
    )
    text = (
        f'lock-version = "1.0"\n[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = [{wheels}]\n'
    )

    (pin,) = parse_list("pylock.toml", text.encode(), INDEX).pins[DEMO]

    assert len(pin.files) == 100

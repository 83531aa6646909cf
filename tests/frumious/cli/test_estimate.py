"""`frumious estimate`: what it asks upstream, and what it answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n    one\n    gone\n"


def configured(folder: Path, master: str, sections: str = "") -> str:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {folder}\nmaster = {master}\nallow-non-https = true\n{sections}"
    )
    return str(path)


def estimated(*arguments: str) -> Any:
    answer = frumious(*arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_pages_of_a_short_allowlist_are_asked(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    one = wheel("one", "1.0")
    for project in (one, wheel("other", "1.0")):
        index.upload(project)
    size = len(one.content)

    estimate = estimated("-c", configured(tmp_path, upstream.url, ALLOWLIST), "estimate")

    assert (estimate["projects"], estimate["files"], estimate["bytes"]) == (1, 1, size)
    assert "names without a page: 1" in estimate["basis"]
    pages = {request.path for request in upstream.requests_for("/simple/")}
    assert pages == {"/simple/one/", "/simple/gone/"}


def test_otherwise_the_root_index_says_how_many_projects_are_selected(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        index.upload(wheel(name, "1.0"))
    blocklist = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = two\n"

    estimate = estimated("-c", configured(tmp_path, upstream.url, blocklist), "estimate")

    assert estimate["projects"] == 2
    assert "averages" in estimate["basis"]
    assert [request.path for request in upstream.requests] == ["/simple/"]


def test_the_configuration_says_whether_the_json_of_releases_is_requested(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    for version in ("1.0", "1.1", "2.0"):
        index.upload(wheel("one", version))
    conf = configured(tmp_path, upstream.url, "json = true\nrelease-json = true\n" + ALLOWLIST)

    items = estimated("-c", conf, "estimate")["bootstrap"]["items"]

    quantities = {item["item"]: item["quantity"] for item in items}
    assert quantities["Upstream: JSON of releases"] == 2
    assert "JSON of releases" in frumious("-c", conf, "estimate").stdout


def test_given_numbers_need_neither_configuration_nor_upstream(tmp_path: Path) -> None:
    numbers = ("--projects", "100", "--files", "2000", "--bytes", "4e9", "--downloads-gb", "50")

    estimate = estimated("-c", str(tmp_path / "none.conf"), "estimate", *numbers)

    assert (estimate["files"], estimate["bytes"]) == (2000, 4_000_000_000)
    for bill in (estimate["bootstrap"], estimate["month"]):
        assert bill["usd"] == pytest.approx(sum(item["usd"] for item in bill["items"]), abs=0.01)
    assert all(item["source"].startswith("https://aws.") for item in estimate["month"]["items"])


def test_the_tables_say_where_the_prices_are_from(tmp_path: Path) -> None:
    shown = frumious("-c", str(tmp_path / "none.conf"), "estimate", "--projects", "100")

    assert shown.returncode == 0, shown.stderr
    for text in ("To fill the mirror, once", "A month", "us-east-1 as of June 2026"):
        assert text in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--projects", "many"], 2, "'many' is not a valid integer"),
        (["--projects", "-1"], 2, "-1 is not in the range"),
        (["--projects", "1", "--bytes", "-5"], 2, "not in the range"),
        ([], 2, "does not exist; 'frumious init' writes one"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, arguments: list[str], status: int, text: str) -> None:
    answer = frumious("-c", str(tmp_path / "none.conf"), "estimate", *arguments)

    assert (answer.returncode, text in answer.stderr) == (status, True), answer.stderr


def test_an_upstream_that_does_not_answer_is_named(tmp_path: Path) -> None:
    answer = frumious("-c", configured(tmp_path, "http://127.0.0.1:9", "timeout = 1\n"), "estimate")

    assert answer.returncode == 1
    assert "http://127.0.0.1:9/simple/" in answer.stderr

"""What has to be confirmed, in scripts by an option and on a terminal by an answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.terminal import in_terminal
from tests.frumious.cli.test_cli import frumious
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CTRL_C, CTRL_D = "\x03", "\x04"
LISTED = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n"


@pytest.fixture
def upstream() -> Iterator[Server]:
    with Server(Index()) as server:
        yield server


def configure(upstream: Server, folder: Path, sections: str = "") -> str:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {folder}/mirror\nmaster = {upstream.url}\n"
        f"allow-non-https = true\n{sections}"
    )
    return str(path)


def projects(folder: Path) -> int:
    index = folder / "mirror/web/simple/index.v1_json"
    return len(json.loads(index.read_bytes())["projects"]) if index.exists() else 0


def test_a_mirror_of_everything_begins_only_where_that_is_confirmed(
    upstream: Server, tmp_path: Path
) -> None:
    upstream.index.add_many(f"project-{number}" for number in range(1001))
    conf = configure(upstream, tmp_path)

    refused = frumious("-c", conf, "mirror")

    text = (
        "no list in the configuration names the projects: all 1,001 that upstream has would be"
        " mirrored, with about 54 GB of files"
    )
    advice = "list projects as [allowlist] packages, or confirm with --all"
    assert refused.returncode == 2
    assert refused.stderr == f"Error: {text}; {advice}\n"
    assert not (tmp_path / "mirror").exists(), "an empty folder is left behind"
    for answer, expected, last in (
        ("n\n", 2, f"Error: nothing was mirrored; {advice}"),
        ("\n", 2, f"Error: nothing was mirrored; {advice}"),
        (CTRL_D, 2, f"Error: nothing was mirrored; {advice}"),
        ("perhaps\nn\n", 2, f"Error: nothing was mirrored; {advice}"),
        (CTRL_C, 130, "Error: stopped; run again to continue"),
    ):
        status, asked = in_terminal(
            "-c", conf, "mirror", columns=200, answer=answer, prompt="[y/N]"
        )
        assert f"{text}. Go on? [y/N]" in asked
        assert ("Please answer y or n." in asked) == answer.startswith("perhaps")
        assert asked.splitlines()[-1].endswith(last)
        assert status == expected
        assert not projects(tmp_path)

    begun = frumious("-c", conf, "mirror", "--all")
    repeated = frumious("-c", conf, "mirror")

    assert begun.returncode == repeated.returncode == 0, begun.stderr
    assert projects(tmp_path) == 1001


def test_the_json_of_all_releases_is_warned_of_before_anything_is_requested(
    upstream: Server, tmp_path: Path
) -> None:
    upstream.index.add_many(f"project-{number}" for number in range(1001))
    conf = configure(upstream, tmp_path, "json = true\nrelease-json = true\n")
    warning = (
        "release-json = true: upstream is asked for the JSON of each release of 1,001 projects,"
        " some 10,010 requests; list projects as [allowlist] packages, or set release-json = false"
    )

    planned = frumious("-c", conf, "plan")
    refused = frumious("-c", conf, "mirror")

    assert (planned.returncode, planned.stderr) == (0, f"{warning}\n")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == warning
    assert frumious("-q", "-c", conf, "plan").stderr == ""

    configure(upstream, tmp_path, "json = true\n")
    assert frumious("-c", conf, "mirror", "--all").returncode == 0
    configure(upstream, tmp_path, "json = true\nrelease-json = true\n")  # on a full mirror
    assert frumious("-c", conf, "plan").stderr == f"{warning}\n"
    listed = "".join(f"  project-{number}\n" for number in range(1001))
    configure(upstream, tmp_path, f"json = true\nrelease-json = true\n{LISTED}{listed}")
    assert "release-json" not in frumious("-c", conf, "plan").stderr


def test_a_mirror_of_everything_begins_after_a_yes(upstream: Server, tmp_path: Path) -> None:
    upstream.index.add_many(f"project-{number}" for number in range(1001))
    conf = configure(upstream, tmp_path)

    status, shown = in_terminal("-c", conf, "mirror", columns=200, answer="y\n", prompt="[y/N]")

    assert status == 0, shown
    assert projects(tmp_path) == 1001


@pytest.mark.parametrize(
    ("answer", "left", "expected"), [("y\n", 1, 0), ("n\n", 2, 1), (CTRL_C, 2, 130)]
)
def test_a_removal_because_of_the_configuration_is_asked_for_on_a_terminal(
    upstream: Server, tmp_path: Path, answer: str, left: int, expected: int
) -> None:
    for name in ("one", "two"):
        upstream.index.upload(wheel(name, "1.0"))
    conf = configure(upstream, tmp_path, LISTED + "  one\n  two\n")
    assert frumious("-c", conf, "mirror").returncode == 0
    configure(upstream, tmp_path, LISTED + "  one\n")

    status, shown = in_terminal("-c", conf, "mirror", columns=200, answer=answer, prompt="[y/N]")

    assert status == expected, shown
    assert "would remove two: no longer selected" in shown
    assert projects(tmp_path) == left

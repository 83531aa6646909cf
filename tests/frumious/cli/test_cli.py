"""The command as users run it, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frumious.cli.main import TEMPLATE
from frumious.config import loading
from tests.upstream import Fault, Index, Server, Status, wheel

if TYPE_CHECKING:
    from tests.world import World

SHARED = Path(__file__).parents[3] / "shared"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SHARED), "COLUMNS": "120"}


def frumious(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, which must close what it opens."""
    done = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-m", "frumious.cli", *arguments],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "ResourceWarning" not in done.stderr, done.stderr
    return done


def configured(world: World, folder: Path, options: str = "") -> str:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\nstorage-backend = s3\ndirectory = /{world.bucket}\nmaster = {world.master}\n"
        f"allow-non-https = true\n{options}\n"
    )
    return str(path)


def test_a_dry_run_shows_the_plan_and_changes_nothing(world: World, tmp_path: Path) -> None:
    conf = configured(world, tmp_path)
    world.index.upload(wheel("one", "1.0"))

    shown = frumious("-c", conf, "plan")
    as_json = frumious("-c", conf, "plan", "--json")

    assert shown.returncode == 0, shown.stderr
    first, last = shown.stdout.splitlines()
    assert re.fullmatch(r"one: update, 1 new file, \d+ B \(not here yet\)", first)
    assert re.fullmatch(r"The next run: 1 to update; 1 new file, \d+ B\.", last)
    plan = json.loads(as_json.stdout)
    assert plan["updated"] == {"one": "not here yet"}
    assert (plan["new_files"], plan["files"]["one"]["new_files"]) == (1, 1)
    assert set(world.stored()) <= {"state/s3-server.json"}, "what the server supports"


def test_a_plan_that_removes_too_much_is_shown_with_how_to_confirm_it(
    world: World, tmp_path: Path
) -> None:
    world.configure("max-removals = 0% 0")
    conf = configured(world, tmp_path, "max-removals = 0% 0")
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    world.index.remove_project("one")

    shown = frumious("-c", conf, "plan")
    as_json = frumious("-c", conf, "plan", "--json")
    begun = frumious("-c", conf, "mirror")

    assert "one" in shown.stdout
    assert "removed upstream" in shown.stdout
    assert json.loads(as_json.stdout)["removed"] == {"one": "removed upstream"}
    for done in (shown, as_json, begun):
        assert done.returncode == 1
        assert "remove 1 of the mirror's 1 projects" in done.stderr
        assert "'frumious mirror --confirm-removals 1' confirms" in done.stderr
    assert world.page("one"), "nothing is removed yet"


def test_files_that_upstream_may_not_take_away_are_named_until_they_are_confirmed(
    world: World, tmp_path: Path
) -> None:
    conf = configured(world, tmp_path, "max-losses = 0% 0 0GiB")
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("one", version))
    world.mirror_run()
    world.index.remove_release("one", "1.0")

    stopped = frumious("-c", conf, "mirror")
    confirmed = frumious("-c", conf, "mirror", "--confirm-losses", "1")

    assert stopped.returncode == 1
    assert "one: failed: upstream removed more files" in stopped.stderr
    assert confirmed.returncode == 0, confirmed.stderr
    assert len(world.page("one")["files"]) == 1


def test_lagging_projects_are_made_due(world: World, tmp_path: Path) -> None:
    conf = configured(world, tmp_path)
    world.index.upload(wheel("one", "1.0"))
    fault = world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.mirror_run()
    world.upstream.faults.remove(fault)
    assert world.plan() == []

    done = frumious("-c", conf, "retry")

    assert done.stdout.splitlines()[1:] == ["  one"]
    world.mirror_run()
    assert json.loads(world.read("web/status.json"))["lagging"] == {}


def test_a_configuration_that_cannot_be_used_exits_2(tmp_path: Path) -> None:
    (tmp_path / "mirror.conf").write_text("[mirror]\nworkers = many\n")

    done = frumious("-c", str(tmp_path / "mirror.conf"), "plan")

    assert done.returncode == 2
    assert "[mirror] workers = 'many': must be a whole number" in done.stderr


def test_help_names_the_commands() -> None:
    done = frumious("--help")

    assert done.returncode == 0
    commands = ("mirror", "sync", "plan", "retry", "init", "completion")
    assert all(command in done.stdout for command in commands)


def test_the_generated_configuration_is_valid_and_is_not_overwritten(tmp_path: Path) -> None:
    conf = str(tmp_path / "mirror.conf")

    assert frumious("-c", conf, "init").returncode == 0
    settings = loading.load(Path(conf), {})
    assert settings.warnings == ()
    second = frumious("-c", conf, "init")

    assert second.returncode == 1
    assert "exists, and stays as it is" in second.stderr


def test_every_option_of_the_generated_configuration_is_known(tmp_path: Path) -> None:
    lines = [line.removeprefix(";") for line in TEMPLATE.read_text().splitlines()]
    options = [line for line in lines if re.match(r"\[\w+\]|[\w-]+ =|    \w", line)]
    others = (
        "storage-backend = s3",
        "storage-backend = swift",
        "directory = /bucket",
        "directory = /pre",
    )
    text = "\n".join(line for line in options if not line.startswith(others))

    assert loading.parse(text, {}).warnings == ()


def test_a_shell_can_complete_the_command() -> None:
    assert "_frumious_completion" in frumious("completion", "bash").stdout


def test_a_mirror_in_a_folder_needs_neither_boto3_nor_swift(tmp_path: Path) -> None:
    """Importing either takes longer than the run."""
    index = Index()
    index.upload(wheel("one", "1.0"))
    with Server(index) as upstream:
        conf = tmp_path / "mirror.conf"
        conf.write_text(
            f"[mirror]\ndirectory = {tmp_path / 'mirror'}\nmaster = {upstream.url}\n"
            "allow-non-https = true\n"
        )
        program = (
            "import sys\nfrom frumious.cli.main import main\n"
            f"main(['-c', {str(conf)!r}, 'mirror'], standalone_mode=False)\n"
            "print(sorted({'boto3', 'botocore', 'swiftclient'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert (tmp_path / "mirror/web/simple/one/index.html").exists()

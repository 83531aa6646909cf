"""What is wrong with attestations reaches people: status.json, `frumious status` and `explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from frumious.finalizing.run_events import events_of
from frumious.model.page_layout import PageLayout
from frumious.model.types import Key
from tests.frumious.cli.test_cli import configured, frumious
from tests.sigstore import Sigstore
from tests.upstream import sdist

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import World


@pytest.fixture
def sigstore(tmp_path: Path) -> Sigstore:
    signer = Sigstore()
    (tmp_path / "trusted_root.json").write_bytes(signer.trust_root)
    return signer


def configure(world: World, folder: Path, rules: str) -> str:
    """Configure the world and a mirror.conf for the command alike."""
    sections = f"[attestations]\ntrust-root = {folder}/trusted_root.json\n{rules}"
    world.configure(sections=sections)
    return configured(world, folder, sections)


def upload(world: World, version: str, sigstore: Sigstore | None, **wrong: Any) -> None:
    dist = sdist("demo", version)
    provenance = None
    if sigstore is not None:
        provenance = json.loads(sigstore.provenance(dist.filename, dist.content, **wrong))
    world.index.upload(dist, provenance=provenance)


def status(world: World) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(world.read("web/status.json"))
    return payload


def test_attestations_that_stop_are_shown_until_somebody_excepts_the_file(
    world: World, tmp_path: Path, sigstore: Sigstore
) -> None:
    conf = configure(world, tmp_path, "report = demo")
    upload(world, "1.0", sigstore)
    world.mirror_run()
    assert "unverified" not in status(world)
    upload(world, "2.0", None)

    finalized = world.mirror_run()

    assert status(world)["unverified"] == 1
    assert world.cursor().unverified == 1
    assert not finalized.lagging, "nothing is kept out"
    events = [event.kind for event in events_of(finalized.reports, (), PageLayout())]
    assert "Project unverified" in events
    shown = frumious("-c", conf, "status")
    assert shown.returncode == 1
    assert "Attestations: 1 project with faults" in shown.stdout
    assert "demo: 1 file; demo-2.0.tar.gz: it has no attestations, and earlier" in shown.stdout
    explained = frumious("-c", conf, "explain", "demo")
    assert explained.returncode == 0
    assert (
        "demo-1.0.tar.gz: selected; attestations: github.com/example/demo/release.yml"
        in explained.stdout
    )
    assert "demo-2.0.tar.gz: selected; attestations: it has no attestations" in explained.stdout

    conf = configure(world, tmp_path, "report = demo\nexceptions = demo-2.0.tar.gz")
    world.mirror_run()
    assert "unverified" not in status(world)
    assert world.cursor().unverified == 0
    assert "Attestations:" not in frumious("-c", conf, "status").stdout


def test_another_publisher_is_shown_and_kept_out(
    world: World, tmp_path: Path, sigstore: Sigstore
) -> None:
    conf = configure(world, tmp_path, "require = demo")
    upload(world, "1.0", sigstore)
    world.mirror_run()
    upload(world, "2.0", sigstore, repository="evil/demo")

    finalized = world.mirror_run()

    assert finalized.lagging == 1
    lagging = status(world)["lagging"]["demo"]
    assert lagging["reason"] == "a file's attestations are not verified"
    payload = json.loads(frumious("-c", conf, "status", "--json").stdout)
    assert payload["unverified"]["demo"]["files"] == 1
    assert "(github.com/evil/demo/release.yml)" in payload["unverified"]["demo"]["fault"]
    explained = frumious("-c", conf, "explain", "demo", "demo-2.0.tar.gz")
    assert explained.returncode == 1
    assert "kept out by [attestations]: another publisher" in explained.stdout

    conf = configure(world, tmp_path, "require = demo\npublishers = demo github.com/evil")
    explained = frumious("-c", conf, "explain", "demo", "demo-2.0.tar.gz")
    assert "github.com/evil/demo/release.yml" in explained.stdout, "as the next run will find"


@pytest.mark.parametrize("mode", ["require", "report"])
def test_a_plan_names_faults_and_stores_nothing(
    world: World, tmp_path: Path, sigstore: Sigstore, mode: str
) -> None:
    conf = configure(world, tmp_path, f"{mode} = demo")
    upload(world, "1.0", sigstore)
    world.mirror_run()
    upload(world, "2.0", sigstore, repository="evil/demo")
    before = world.contents()

    shown = frumious("-c", conf, "plan").stdout
    (files,) = json.loads(frumious("-c", conf, "plan", "--json").stdout)["files"].values()

    assert "1 file with faults of attestations" in shown
    assert "another publisher" in shown
    assert files["unverified"] == 1
    assert "(github.com/evil/demo/release.yml)" in files["fault"]
    assert files["new_files"] == (0 if mode == "require" else 1)
    after = world.contents()
    after.pop(Key("state/s3-server.json"))  # what this process has found out about the server
    assert after == before


def test_reports_that_come_twice_change_nothing(
    world: World, tmp_path: Path, sigstore: Sigstore
) -> None:
    configure(world, tmp_path, "report = demo")
    upload(world, "1.0", sigstore)
    upload(world, "2.0", Sigstore())
    world.plan()
    finalized = world.mirror_run()
    state = world.read("state/unverified.json")
    world.record(*finalized.reports)
    world.change_cursor(lagging=True)
    world.mirror_run(["demo"])
    assert world.read("state/unverified.json") == state
    assert status(world)["unverified"] == 1


def test_a_project_that_leaves_takes_its_faults_along(
    world: World, tmp_path: Path, sigstore: Sigstore
) -> None:
    configure(world, tmp_path, "report = demo")
    upload(world, "1.0", Sigstore())
    world.mirror_run()
    assert status(world)["unverified"] == 1
    world.index.remove_project("demo")
    world.mirror_run()
    assert "unverified" not in status(world)
    assert json.loads(world.read("state/unverified.json"))["projects"] == {}


def test_a_new_section_plans_the_projects_that_it_names(
    world: World, tmp_path: Path, sigstore: Sigstore
) -> None:
    upload(world, "1.0", Sigstore())
    world.index.upload(sdist("other", "1.0"))
    world.mirror_run()
    configure(world, tmp_path, "report = demo")
    planned = world.plan()
    assert [*planned[0].jobs] == ["demo"]
    world.work(last=True)
    world.finalize()
    assert status(world)["unverified"] == 1
    configure(world, tmp_path, "report = *")
    assert {*world.plan()[0].jobs} == {"demo", "other"}

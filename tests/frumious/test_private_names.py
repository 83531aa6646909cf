"""Names that are private: upstream is never asked for them, by no verb (dependency confusion)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from frumious.cli.main import main
from frumious.config.loading import ConfigError, parse
from frumious.model.plans import Reason
from frumious.selection.private import PrivateName
from tests.upstream import NO_CHANGELOG, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.world import World

PRIVATE = "[private]\npackages =\n    acme-*\n    Our_Tool\n"
ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n"


@pytest.fixture
def conf(upstream: Server, tmp_path: Path) -> Path:
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        f"allow-non-https = true\n{PRIVATE}"
    )
    return path


def run(conf: Path, *arguments: str, code: int = 0) -> str:
    """Run the command in this process: a new one for each verb would take minutes."""
    done = CliRunner().invoke(main, ["-c", str(conf), *arguments])
    assert done.exit_code == code, (arguments, done.output)
    return done.output


def leaked(upstream: Server) -> list[str]:
    """Return the requests that have a private name."""
    paths = [request.target for request in upstream.requests]
    return [path for path in paths if "acme" in path.lower() or "our" in path.lower()]


def pages(world: World) -> set[str]:
    keys = world.stored("web/simple/")
    return {key.split("/")[2] for key in keys if key.count("/") > 2}


VERBS = (
    ("plan",),
    ("mirror",),
    ("mirror", "--force-check"),
    ("mirror", "--reset-serials"),
    ("retry",),
    ("status",),
    ("verify",),
    ("verify", "--repair"),
    ("doctor",),
    ("estimate",),
)


@pytest.mark.parametrize("lists", ["", f"{ALLOWLIST}    acme-lib\n    our-tool\n    six\n"])
@pytest.mark.parametrize("has_changelog", [True, False])
def test_no_verb_asks_upstream_for_a_private_name(
    index: Index, upstream: Server, conf: Path, lists: str, *, has_changelog: bool
) -> None:
    if not has_changelog:
        upstream.personality = NO_CHANGELOG
    conf.write_text(conf.read_text() + lists)
    for name in ("acme-lib", "our.tool", "six"):
        index.upload(wheel(name, "1.0"))
    for verb in VERBS:
        run(conf, *verb)
    index.upload(wheel("acme-lib", "2.0"))
    index.upload(wheel("six", "2.0"))
    for verb in VERBS:
        run(conf, *verb)
    refused = run(conf, "sync", "Acme.Lib", code=1)
    kept_out = run(conf, "explain", "our_tool", code=1)
    run(conf, "delete", "our-tool")
    run(conf, "mirror")

    assert leaked(upstream) == []
    assert "'acme-lib' is private" in refused
    assert "our-tool: kept out by [private]: upstream is not asked" in kept_out
    shown = (conf.parent / "mirror/web/simple/index.v1_json").read_text()
    assert [each["name"] for each in json.loads(shown)["projects"]] == ["six"]


def test_a_name_that_becomes_private_leaves_and_one_that_stops_comes_back(
    index: Index, upstream: Server, world: World
) -> None:
    for name in ("acme-lib", "six"):
        index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.configure(sections=PRIVATE)
    upstream.clear()
    index.upload(wheel("acme-lib", "9.0"))
    plan = world.dry_run()
    assert plan.removals == {"acme-lib": Reason.MADE_PRIVATE}
    assert plan.stopped is None
    world.mirror_run()
    assert pages(world) == {"six"}
    assert leaked(upstream) == []

    world.configure()
    world.mirror_run()
    assert pages(world) == {"acme-lib", "six"}


def test_many_names_that_become_private_wait_for_a_confirmation_and_are_not_asked_for(
    index: Index, upstream: Server, world: World
) -> None:
    for number in range(30):
        index.upload(wheel(f"acme-{number}", "1.0"))
    world.mirror_run()
    world.configure(sections=PRIVATE)
    upstream.clear()
    index.upload(wheel("acme-1", "2.0"))
    plan = world.dry_run()
    assert plan.stopped is not None
    assert "30 have private names and no file" in plan.stopped.message
    world.mirror_run()
    assert len(pages(world)) == 30
    assert leaked(upstream) == []

    world.mirror_run(confirmed_removals=30)
    assert pages(world) == set()
    assert leaked(upstream) == []


def test_jobs_and_retries_from_before_the_configuration_do_not_ask_for_a_private_name(
    index: Index, upstream: Server, world: World
) -> None:
    index.upload(wheel("acme-lib", "1.0"))
    world.plan()  # its job waits in the queue
    world.configure(sections=PRIVATE)
    upstream.clear()
    world.work()
    world.mirror_run()
    assert leaked(upstream) == []
    assert pages(world) == set()


def test_a_request_with_a_private_name_is_not_made(world: World, upstream: Server) -> None:
    world.configure(sections=PRIVATE)
    for name in ("acme-lib", "our-tool"):
        for call in (
            lambda mirror, name=name: mirror.upstream.project_page(name, at_least=0),
            lambda mirror, name=name: mirror.upstream.check_page(name, etag=""),
            lambda mirror, name=name: mirror.upstream.legacy_json(name),
        ):
            with pytest.raises(PrivateName):
                world.run(call)
    assert leaked(upstream) == []


def test_a_pattern_that_would_hide_everything_is_a_mistake() -> None:
    for wrong in ("*", "a-*", "acme lib", "https://acme", "acme>=1"):
        with pytest.raises(ConfigError, match=r"\[private\] packages"):
            parse(f"[mirror]\ndirectory = /srv/pypi\n[private]\npackages = {wrong}\n", {})


@pytest.mark.parametrize(
    ("options", "directory"),
    [
        ("directory = /srv/pypi", "wheels"),
        ("directory = /srv/pypi", "/"),
        ("directory = /srv/pypi", "s3://"),
        ("directory = /srv/pypi", "/srv/pypi/web/packages"),
        ("directory = /srv/pypi", "/srv"),
        ("storage-backend = s3\ndirectory = /bucket", "s3://bucket/wheels"),
        ("directory = /srv/pypi\nrelease-files = false", "/srv/wheels"),
    ],
)
def test_a_private_directory_that_cannot_be_used_is_a_mistake(options: str, directory: str) -> None:
    with pytest.raises(ConfigError, match=r"\[private\] directory"):
        parse(f"[mirror]\n{options}\n[private]\ndirectory = {directory}\n", {})

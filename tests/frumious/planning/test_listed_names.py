"""Requirements files and lists of download counts at addresses: as files are, read at each run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.planning.list_sources import ListUnreadable
from frumious.selection.unread import ListsUnread
from frumious.syncing.delivery import Batch
from tests.frumious.planning.site import site
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.mirror import Mirror
    from tests.frumious.planning.site import Site
    from tests.world import World

NAMES = ("first", "second", "third")
VERSIONS = ("1.0", "2.0")


def counts(*names: str) -> str:
    rows = [{"download_count": 100 - i, "project": name} for i, name in enumerate(names)]
    return json.dumps({"last_update": "2026-11-01", "rows": rows})


def top(source: str, projects: int = 2) -> str:
    return f"[plugins]\nenabled = top_projects\n[top]\nprojects = {projects}\nlist = {source}\n"


def required(path: str, names: str) -> str:
    lines = "".join(f"  {name}\n" for name in names.split())
    return (
        "[plugins]\nenabled =\n  project_requirements\n  project_requirements_pinned\n"
        f"[allowlist]\nrequirements_path = {path}\nrequirements =\n{lines}"
    )


@pytest.fixture
def web(world: World) -> Iterator[Site]:
    for name in NAMES:
        for version in VERSIONS:
            world.index.upload(wheel(name, version))
    with site() as found:
        yield found


def mirrored(world: World) -> set[str]:
    """Return the projects and versions that readers find."""
    keys = (key.rpartition("/")[2] for key in world.files())
    return {name.removesuffix("-py3-none-any.whl") for name in keys if name.endswith(".whl")}


def problems(world: World) -> dict[str, str]:
    """Return what waits for a person about lists, as `frumious status` shows it."""
    found: dict[str, str] = json.loads(world.read("state/notices.json"))["lists"]
    return found


def run(world: World, *, confirmed_removals: int = 0) -> None:
    """Run the mirror as the planner does, with its notices."""
    from frumious.planning.lists import follow_lists  # noqa: PLC0415
    from frumious.planning.notices import keep_notices  # noqa: PLC0415

    plan = world.dry_run(confirmed_removals=confirmed_removals)
    world.start(plan)
    world.work()

    async def keep(mirror: Mirror) -> None:
        await keep_notices(plan, {}, await follow_lists(mirror))

    world.run(keep)
    world.finalize()


def test_the_top_of_a_list_at_an_address_is_followed_both_ways(world: World, web: Site) -> None:
    web.files["/top.json?token=s3cr3t"] = counts("first", "second", "third")
    world.configure(sections=top(f"{web.url}/top.json?token=s3cr3t".replace("//", "//u:s3cr3t@")))
    run(world)
    assert mirrored(world) == {"first-1.0", "first-2.0", "second-1.0", "second-2.0"}
    run(world)
    assert web.requests[-1]["If-None-Match"]

    web.files["/top.json?token=s3cr3t"] = counts("third", "second", "first")
    run(world)
    run(world, confirmed_removals=1)
    assert mirrored(world) == {"third-1.0", "third-2.0", "second-1.0", "second-2.0"}
    assert all(b"s3cr3t" not in body for body in world.contents().values())


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (None, "404"),
        ("<html>Log in</html>", "it is no list of download counts"),
        ('{"rows": []}', "it lists no project"),
        (counts("third"), "the list has no more than 1 projects"),
        (counts("third", "../x"), "is not a project's name"),
    ],
)
def test_the_last_good_top_counts(
    world: World, web: Site, damage: str | None, problem: str
) -> None:
    web.files["/top.json"] = counts("first", "second")
    world.configure(sections=top(f"{web.url}/top.json"))
    run(world)
    web.files.clear()
    if damage is not None:
        web.files["/top.json"] = damage
    world.index.upload(wheel("first", "3.0"))
    run(world)
    assert "first-3.0" in mirrored(world)
    assert {version.split("-")[0] for version in mirrored(world)} == {"first", "second"}
    assert problem in problems(world)[f"{web.url}/top.json"]
    assert json.loads(world.read("web/status.json"))["notices"]["lists"] == 1

    web.files["/top.json"] = counts("first", "second")
    run(world)
    assert problems(world) == {}
    assert json.loads(world.read("web/status.json"))["notices"]["lists"] == 0


def test_a_list_that_was_never_read_plans_nothing(world: World, web: Site) -> None:
    world.configure(sections=top(f"{web.url}/top.json"))
    with pytest.raises(ListUnreadable, match="404"):
        world.plan()
    with pytest.raises(ListsUnread):
        world.run(lambda mirror: mirror.with_stored_lists())
    assert mirrored(world) == set()


def test_more_projects_are_taken_from_a_list_that_did_not_change(world: World, web: Site) -> None:
    web.files["/top.json"] = counts(*NAMES)
    world.configure(sections=top(f"{web.url}/top.json", 1))
    run(world)
    world.configure(sections=top(f"{web.url}/top.json", 2))
    run(world)
    assert {version.split("-")[0] for version in mirrored(world)} == {"first", "second"}


@pytest.mark.parametrize("place", ["path", "whole", "s3"])
def test_requirements_at_addresses(world: World, web: Site, place: str) -> None:
    def write(name: str, text: str) -> None:
        web.files[f"/team/{name}"] = text
        world.s3.put_object(Bucket=world.bucket, Key=f"lists/{name}", Body=text.encode())

    write("a.txt", "first == 1.0  # why\n-r other.txt\n")
    write("b.txt", "second[extra] >= 2 ; python_version > '3'\n")
    if place == "whole":
        world.configure(sections=required("/etc", f"{web.url}/team/a.txt {web.url}/team/b.txt"))
    else:
        path = f"{web.url}/team/" if place == "path" else f"s3://{world.bucket}/lists"
        world.configure(sections=required(path, "a.txt b.txt"))
    run(world)
    assert mirrored(world) == {"first-1.0", "second-2.0"}

    write("a.txt", "first\nthird==1.0\n")
    run(world)
    assert mirrored(world) == {"first-1.0", "first-2.0", "second-2.0", "third-1.0"}

    write("a.txt", "# empty\n")
    run(world)
    assert mirrored(world) == {"first-1.0", "first-2.0", "second-2.0", "third-1.0"}
    (problem,) = problems(world).values()
    assert "it requires no project" in problem

    write("a.txt", "first==2.0\n")
    run(world, confirmed_removals=1)
    assert mirrored(world) == {"first-2.0", "second-2.0"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<html>Log in</html>", "<html>Log in</html>"),
        ("first ; " + "(" * 3000 + "extra == 'x'", "is nested too deeply"),
        (f"{'x' * 241}\n", "at most 240 characters"),
        ("first " + ",".join(f"!={number}" for number in range(2000)), "is longer than 4096"),
        ("\udcff", "it is not text"),
    ],
)
def test_damaged_requirements_select_nothing(
    world: World, web: Site, text: str, problem: str
) -> None:
    web.files["/a.txt"] = text
    world.configure(sections=required("", f"{web.url}/a.txt"))
    with pytest.raises(ListUnreadable) as raised:
        world.plan()
    assert problem in str(raised.value)


def test_files_and_addresses_count_together(
    world: World, web: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "mine.txt").write_text("third == 2.0\n")
    web.files["/a.txt"] = "first == 1.0\n"
    world.configure(sections=required(str(folder), f"mine.txt {web.url}/a.txt"))
    run(world)
    assert mirrored(world) == {"first-1.0", "third-2.0"}


def test_addresses_of_requirements_are_stored_without_secrets(world: World, web: Site) -> None:
    web.files["/a.txt"] = "first @ https://user:s3cr3t@git.example/first\nsecond==1.0\n"
    world.configure(sections=required("", f"{web.url}/a.txt"))
    run(world)
    assert b"s3cr3t" not in world.read("state/lists.json")


def test_lists_whose_addresses_differ_in_secrets_alone_are_told_apart(
    world: World, web: Site
) -> None:
    web.files["/a?file=1"], web.files["/a?file=2"] = "first==1.0\n", "second==1.0\n"
    world.configure(sections=required("", f"{web.url}/a?file=1 {web.url}/a?file=2"))
    run(world)
    run(world)
    assert mirrored(world) == {"first-1.0", "second-1.0"}
    del web.files["/a?file=1"]
    run(world)
    assert mirrored(world) == {"first-1.0", "second-1.0"}
    assert list(problems(world)) == [f"{web.url}/a?***"]


def test_jobs_ask_no_list(world: World, web: Site) -> None:
    web.files["/top.json"] = counts("first")
    world.configure(sections=top(f"{web.url}/top.json", 1))
    world.plan()
    asked = len(web.requests)

    async def begin(mirror: Mirror) -> None:
        await Batch.begin(mirror, await mirror.ledger.known_cursor())

    world.close()
    world.run(begin)
    world.work()
    assert len(web.requests) == asked
    assert mirrored(world) == {"first-1.0", "first-2.0"}


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (top("ftp://host/top.json"), "must be a file, s3://bucket/key or https://..."),
        (top("s3://bucket"), "is not s3://bucket/key"),
        (top("https:///top.json"), "has no valid host"),
        (top("https://host/*.json"), "is a pattern, and only files may have one"),
        (required("s3:///lists", "a.txt"), "is not s3://bucket/key"),
        (required("s3://bucket/lists", "*.txt"), "is a pattern, and only files may have one"),
        (required("https://host/a?token=s3cr3t", "a.txt"), "has a query"),
    ],
)
def test_addresses_that_cannot_be_read_are_refused(sections: str, problem: str) -> None:
    with pytest.raises(loading.ConfigError) as raised:
        loading.parse(f"[mirror]\ndirectory = /mirror\n{sections}", {})
    assert problem in str(raised.value)
    assert "s3cr3t" not in str(raised.value)

"""`frumious snapshot` and `frumious rollback`: what clients of a folder get, and what is kept."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from frumious.snapshots.errors import SnapshotError, check_name
from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import lock
from tests.frumious.cli.terminal import in_terminal
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.installers import PIP, UV, install
from tests.serving.command import serve
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.upstream import Index

OLD_PINS = ("demo==1.0", "gone==1.0", "same==1.0")


class Commands:
    """A mirror in a folder, and the command."""

    def __init__(self, conf: str, index: Index) -> None:
        self.conf = conf
        self.index = index
        self.folder = Path(conf).parent / "mirror"

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run the command and return its output."""
        done = frumious("-c", self.conf, *arguments)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        done = frumious("-c", self.conf, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def files(self) -> set[str]:
        """Return the names of the files that are stored, without core metadata."""
        stored = self.folder.glob("web/packages/*/*/*/*")
        return {path.name for path in stored if path.suffix != ".metadata"}

    def everything(self) -> dict[str, bytes]:
        """Return all that is stored, but for what tells the time."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in {"status.json", ".lock"}
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Use the mirror in another process."""
        with lock(Folder.at(self.folder, manage_permissions=True)):
            yield


@pytest.fixture
def mirror(conf: str, index: Index) -> Commands:
    """Return a mirror of three projects, where removed files are deleted at once."""
    path = Path(conf)
    path.write_text(f"{path.read_text()}delete-after = 0\nmax-removals = 100% 0\n")
    for name in ("demo", "gone", "same"):
        index.upload(wheel(name, "1.0"))
    commands = Commands(conf, index)
    commands.run("mirror")
    return commands


def move_on(mirror: Commands) -> None:
    """Let the live index change: new releases, a removed one, a removed and a new project."""
    mirror.index.upload(wheel("demo", "2.0"))
    mirror.index.remove_release("demo", "1.0")
    mirror.index.remove_project("gone")
    mirror.index.upload(wheel("new", "1.0"))
    mirror.run("mirror")


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_old_pins_install_from_a_snapshot_and_after_a_rollback_from_the_live_address(
    mirror: Commands, installer: tuple[str, ...], tmp_path: Path
) -> None:
    assert "readers get it below /snapshot/before/simple/" in mirror.run(
        "snapshot", "create", "before"
    )
    move_on(mirror)
    (tmp_path / "server").mkdir()
    with serve(mirror.folder, tmp_path / "server", hash_index=False) as served:
        snapshot, live = f"{served.url}/snapshot/before", served.url

        def installs(url: str, name: str, *pins: str) -> bool:
            return install(installer, url, tmp_path / name, *pins).returncode == 0

        assert installs(snapshot, "pinned", *OLD_PINS)
        assert (tmp_path / "pinned/demo/__init__.py").read_text() == '__version__ = "1.0"\n'
        assert not installs(live, "refused", *OLD_PINS)
        assert installs(live, "live", "demo==2.0", "new")

        assert "'frumious rollback --live' ends that" in mirror.run("rollback", "before")
        assert installs(live, "rolled-back", *OLD_PINS)
        assert not installs(live, "refused", "demo==2.0")
        assert not installs(live, "refused", "new")
        mirror.index.upload(wheel("demo", "3.0"))
        mirror.run("mirror")
        assert not installs(live, "refused", "demo==3.0"), "the mirror follows; readers do not"

        assert "no longer before" in mirror.run("rollback", "--live")
        assert installs(live, "forward", "demo==3.0", "new")
        assert not installs(live, "refused", *OLD_PINS)
        assert installs(snapshot, "still", *OLD_PINS)


def test_a_snapshot_is_listed_with_its_time_serial_and_pages(mirror: Commands) -> None:
    assert "There are no snapshots" in mirror.run("snapshot", "list")
    serial = mirror.index.serial
    created = mirror.json("snapshot", "create", "monday")
    assert created["serial"] == serial
    assert created["created"] == created["fixed"], "no job is at work"
    move_on(mirror)
    mirror.run("snapshot", "create", "tuesday")

    listed = mirror.json("snapshot", "list")
    assert {name: each["pages"] for name, each in listed["snapshots"].items()} == {
        "monday": 3,  # demo, gone and new
        "tuesday": 0,
    }
    assert listed["served"] is None
    shown = mirror.run("snapshot", "list")
    minute = created["created"][:-4].replace("T", " ")
    assert re.search(rf"monday +{minute} .* {serial} +3 +complete", shown)


def test_readers_of_a_snapshot_are_named_where_people_look(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "monday")
    mirror.run("rollback", "monday")

    assert mirror.json("rollback", "monday") == {"served": "monday"}
    status = mirror.run("status")
    assert "Rolled back: readers get monday; 'frumious rollback --live' ends that" in status
    assert "Snapshot monday: created 20" in status
    assert mirror.json("status")["snapshots"]["served"] == "monday"
    assert "readers get it" in mirror.run("snapshot", "list")

    public = json.loads((mirror.folder / "web/status.json").read_text())
    assert public["snapshots"]["served"] == "monday"
    assert [*public["snapshots"]["known"]] == ["monday"]
    mirror.index.upload(wheel("demo", "2.0"))
    mirror.run("mirror")
    kept = json.loads((mirror.folder / "web/status.json").read_text())
    assert kept["snapshots"] == public["snapshots"], "runs keep it"
    (mirror.folder / "web/status.json").unlink()
    mirror.index.upload(wheel("demo", "3.0"))
    mirror.run("mirror")
    again = json.loads((mirror.folder / "web/status.json").read_text())
    assert again["snapshots"] == public["snapshots"], "also if it was lost"

    refused = mirror.run("snapshot", "delete", "monday", status=1)
    assert "'frumious rollback --live' comes first" in refused
    mirror.run("rollback", "--live")
    assert "the live index already" in mirror.run("rollback", "--live")
    mirror.run("snapshot", "delete", "monday")
    assert "Snapshot" not in mirror.run("status")
    assert mirror.json("status").get("snapshots") is None


def test_deleting_frees_exactly_what_nothing_else_names(mirror: Commands) -> None:
    before = mirror.everything()
    mirror.run("snapshot", "create", "first")
    assert mirror.run("snapshot", "delete", "first").startswith(
        "first is deleted: 0 pages of its own, 0 files."
    )
    after = mirror.everything()
    assert after.pop("state/snapshots.json")
    assert after == before

    mirror.run("snapshot", "create", "first")
    mirror.index.upload(sdist("demo", "1.5"))
    mirror.run("mirror")
    mirror.run("snapshot", "create", "second")
    move_on(mirror)  # without demo 1.0 and gone, which both snapshots show
    mirror.index.remove_release("demo", "1.5")  # which the second one shows
    mirror.run("mirror")
    kept = {f"{name}-1.0-py3-none-any.whl" for name in ("demo", "gone", "same", "new")}
    kept |= {"demo-1.5.tar.gz", "demo-2.0-py3-none-any.whl"}
    assert mirror.files() == kept

    mirror.run("snapshot", "delete", "first")
    assert mirror.files() == kept
    scheduled = (mirror.folder / "state/removed/demo.json").read_text()
    assert "gone" not in scheduled, "the next run deletes what is due"
    assert mirror.json("snapshot", "delete", "second") == {
        "name": "second",
        "pages": 3,
        "files": 1,
        "later": False,
    }
    assert mirror.files() == kept - {"gone-1.0-py3-none-any.whl"}
    assert [name for name in mirror.everything() if "snapshot" in name] == ["state/snapshots.json"]


def test_what_waits_for_its_deletion_stays_until_then(mirror: Commands) -> None:
    path = Path(mirror.conf)
    path.write_text(path.read_text().replace("delete-after = 0", "delete-after = 7"))
    mirror.run("snapshot", "create", "first")
    move_on(mirror)
    before = mirror.files()
    assert mirror.json("snapshot", "delete", "first")["files"] == 0
    assert mirror.files() == before


def test_a_diff_names_what_changed(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "monday")
    move_on(mirror)
    mirror.run("snapshot", "create", "tuesday")
    mirror.index.yank("demo", "2.0", "broken")
    mirror.index.archive("same")
    mirror.run("mirror")
    mirror.run("sync", "same")

    assert mirror.json("snapshot", "diff", "monday", "tuesday")["projects"] == {
        "demo": {
            "added": ["demo-2.0-py3-none-any.whl"],
            "removed": ["demo-1.0-py3-none-any.whl"],
            "changed": {},
        },
        "gone": {"added": [], "removed": ["gone-1.0-py3-none-any.whl"], "changed": {}},
        "new": {"added": ["new-1.0-py3-none-any.whl"], "removed": [], "changed": {}},
    }
    assert mirror.run("snapshot", "diff", "tuesday", "live").splitlines() == [
        "demo:",
        "  ~ demo-2.0-py3-none-any.whl: yanked",
        "same: active -> archived",
        "2 projects differ from tuesday to live.",
    ]
    back = mirror.json("snapshot", "diff", "live", "monday")["projects"]
    assert back["gone"]["added"] == ["gone-1.0-py3-none-any.whl"]
    assert mirror.json("snapshot", "diff", "monday", "monday")["projects"] == {}


def test_names_that_are_not_allowed_are_refused(mirror: Commands) -> None:
    before = mirror.everything()
    assert "names the live index" in mirror.run("snapshot", "create", "live", status=1)
    for name in ("", "-a", "a-", "UPPER", "a/b", "..", "a b", "a" * 64, "\xe4", "a\n", "\u0661"):
        with pytest.raises(SnapshotError, match="are, with a letter or a digit at both ends"):
            check_name(name)
    assert "is not allowed" in mirror.run("snapshot", "create", "../a", status=1)
    assert mirror.everything() == before


def test_unknown_names_list_the_known_ones(mirror: Commands) -> None:
    unknown = "there is no snapshot 'nope': there is none yet"
    assert unknown in mirror.run("rollback", "nope", status=1)
    for name in ("monday", "friday"):
        mirror.run("snapshot", "create", name)
    for arguments in (
        ("rollback", "nope"),
        ("snapshot", "delete", "nope"),
        ("snapshot", "diff", "monday", "nope"),
    ):
        shown = mirror.run(*arguments, status=1)
        assert "there is no snapshot 'nope': known are friday, monday" in shown
    assert "there is a snapshot 'monday'" in mirror.run("snapshot", "create", "monday", status=1)
    assert "give either" in mirror.run("rollback", status=2)
    assert "give either" in mirror.run("rollback", "monday", "--live", status=2)
    assert "run 'frumious mirror' first" not in mirror.run("snapshot", "list")


def test_an_empty_mirror_has_nothing_to_keep(conf: str, index: Index) -> None:
    commands = Commands(conf, index)
    shown = commands.run("snapshot", "create", "monday", status=1)
    assert "run 'frumious mirror' first" in shown
    assert not (commands.folder / "state/snapshots.json").exists()


def test_a_root_index_that_lacks_a_form_makes_no_snapshot(mirror: Commands) -> None:
    (mirror.folder / "web/simple/index.v1_json").unlink()  # a first run was killed

    shown = mirror.run("snapshot", "create", "monday", status=1)

    assert "no root index at 'web/simple/index.v1_json' yet: run 'frumious mirror' first" in shown
    assert not (mirror.folder / "state/snapshots.json").exists()


def test_while_another_command_is_at_work_a_snapshot_may_still_change(mirror: Commands) -> None:
    with mirror.locked():
        assert "It may change until" in mirror.run("snapshot", "create", "monday")
        refused = mirror.run("rollback", "monday", status=1)
        assert "may change until" in refused
        assert not (mirror.folder / "web/rollback").is_symlink()
        assert mirror.json("snapshot", "delete", "monday")["later"]
    mirror.run("snapshot", "create", "monday")
    with mirror.locked():
        mirror.run("rollback", "monday")  # whatever is at work
    assert (mirror.folder / "web/rollback").readlink() == Path("snapshot/monday")


def test_what_was_killed_is_finished_by_the_same_command(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "monday")
    whole = mirror.everything()
    state = mirror.folder / "state/snapshots.json"

    def leave(**changes: bool) -> None:
        known = json.loads(state.read_text())
        known["snapshots"]["monday"] |= changes
        state.write_text(json.dumps(known))
        shutil.rmtree(mirror.folder / "web/snapshot/monday")

    leave(creating=True)
    assert "is not complete" in mirror.run("rollback", "monday", status=1)
    assert mirror.json("snapshot", "list")["snapshots"]["monday"]["state"] == "creating"
    another = mirror.run("snapshot", "create", "monday", "--as-of", "2026-03-05", status=1)
    assert "with another --as-of" in another
    mirror.run("snapshot", "create", "monday")
    assert mirror.everything() == whole

    leave(deleting=True)
    assert "is being deleted" in mirror.run("rollback", "monday", status=1)
    assert "'frumious snapshot delete monday'" in mirror.run(
        "snapshot", "create", "monday", status=1
    )
    mirror.run("snapshot", "delete", "monday")
    assert mirror.json("snapshot", "list")["snapshots"] == {}
    mirror.run("snapshot", "create", "monday")
    assert mirror.json("snapshot", "list")["snapshots"]["monday"]["state"] == "complete"


def test_many_snapshots_bring_a_warning_of_what_they_cost(mirror: Commands) -> None:
    path = mirror.folder / "state/snapshots.json"
    mirror.run("snapshot", "create", "day-0")
    known = json.loads(path.read_text())
    known["snapshots"] |= {f"day-{number}": known["snapshots"]["day-0"] for number in range(1, 19)}
    path.write_text(json.dumps(known))
    assert "There are" not in mirror.run("snapshot", "create", "day-19")
    assert "There are 21 snapshots: a page" in mirror.run("snapshot", "create", "day-20")


def test_a_mirror_with_snapshots_is_sound(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "monday")
    mirror.index.upload(wheel("demo", "2.0"), upload_time=on_day(20))
    mirror.run("mirror")
    mirror.run("snapshot", "create", "march", "--as-of", "2026-03-05")
    mirror.run("rollback", "march")
    before = mirror.everything()

    mirror.run("verify", "--repair", "--delete-orphans")
    mirror.run("doctor")
    assert {each for each in mirror.everything() if "audit" not in each} >= {
        each for each in before if each.startswith("web/")
    }
    mirror.run("rollback", "--live")
    for name in ("monday", "march"):
        mirror.run("snapshot", "delete", name)
    mirror.run("verify")


def on_day(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def files_of(mirror: Commands, snapshot: str, project: str) -> list[str] | None:
    """Return the files on the page that readers of a snapshot get."""
    for folder in (f"web/snapshot/{snapshot}", "web"):
        path = mirror.folder / folder / "simple" / project / "index.v1_json"
        if path.exists():
            return sorted(file["filename"] for file in json.loads(path.read_text())["files"])
    return None


def names_in(mirror: Commands, snapshot: str) -> list[str]:
    """Return the projects in a snapshot's root index, which is the same in all forms."""
    root = mirror.folder / f"web/snapshot/{snapshot}/simple"
    names = [each["name"] for each in json.loads((root / "index.v1_json").read_text())["projects"]]
    for form in ("index.html", "index.v1_html"):
        assert re.findall(r'<a href="([^/]*)/">', (root / form).read_text()) == names
    return names


def test_as_of_shows_what_upstream_had_by_that_time(conf: str, index: Index) -> None:
    path = Path(conf)
    path.write_text(f"{path.read_text()}delete-after = 0\nmax-removals = 100% 0\n")
    mirror = Commands(conf, index)
    index.upload(wheel("demo", "1.0"), upload_time=on_day(1), yanked="bad")
    index.upload(wheel("demo", "2.0"), upload_time=on_day(5))
    index.upload(sdist("demo", "2.0"), upload_time=on_day(6, 0))
    index.upload(wheel("old", "1.0"), upload_time=on_day(2))
    index.upload(wheel("young", "1.0"), upload_time=on_day(9))
    index.add_project("empty")
    mirror.run("mirror")

    shown = mirror.run("snapshot", "create", "day-5", "--as-of", "2026-03-05")
    assert "Reads 4 pages, all there are." in shown
    assert "2 pages of its own, leaves out 2 files uploaded later; shows 1 file as yanked" in shown
    wheels = ["demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"]
    assert files_of(mirror, "day-5", "demo") == wheels
    assert files_of(mirror, "day-5", "young") == []
    assert names_in(mirror, "day-5") == ["demo", "empty", "old"]
    listed = mirror.json("snapshot", "list")["snapshots"]["day-5"]
    assert (listed["as_of"], listed["pages"]) == ("2026-03-05T23:59:59Z", 2)

    early = mirror.json("snapshot", "create", "early", "--as-of", "2026-03-05T11:59:59Z")
    assert (early["pages"], early["newer"], early["yanked"], early["back"]) == (2, 3, 1, 0)
    assert files_of(mirror, "early", "demo") == wheels[:1]
    mirror.index.upload(wheel("demo", "3.0"), upload_time=on_day(20))
    mirror.index.remove_release("demo", "2.0")
    mirror.run("mirror")
    assert files_of(mirror, "day-5", "demo") == wheels
    assert {*wheels} <= mirror.files()
    assert mirror.json("snapshot", "delete", "day-5")["pages"] == 2


def test_the_list_of_snapshots_is_not_cut_off(
    mirror: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.run("snapshot", "create", "before-the-release-of-2026-11")
    plain = mirror.run("snapshot", "list")
    mirror.run("snapshot", "create", "early", "--as-of", "2026-03-05")
    mirror.run("rollback", "early")
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")
    listed = mirror.run("snapshot", "list")
    now = time.strftime("%Y-%m-%d %H:", time.gmtime())
    assert "As of" not in plain
    assert "2026-03-05 23:59" in listed
    assert "readers get it" in listed
    assert plain.count(now) == listed.count(now) - 1 == 1
    assert "\u2026" not in plain + listed, "cut off"
    assert max(map(len, listed.splitlines())) <= 80


def test_a_list_that_was_made_again_knows_what_readers_get(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "before")
    mirror.run("rollback", "before")
    (mirror.folder / "state/snapshots.json").write_bytes(b'{"version": 1, "snapsh')
    mirror.run("doctor", status=1)
    mirror.run("doctor", "--repair")
    assert mirror.json("snapshot", "list")["served"] == "before"
    refused = mirror.run("snapshot", "delete", "before", status=1)
    assert "'frumious rollback --live' comes first" in refused
    assert "no longer before" in mirror.run("rollback", "--live")


def test_as_of_shows_how_far_it_is(mirror: Commands) -> None:
    create = ("-c", mirror.conf, "snapshot", "create", "march", "--as-of", "2026-03-05")
    with mirror.locked():  # so that the command waits for jobs
        status, shown = in_terminal(*create, columns=100, answer="\x03", prompt="0 of 3 projects")
    assert status == 130, shown
    assert "Reads 3 pages, all there are." in shown
    assert "0 of 3 projects" in shown


def test_as_of_reads_what_has_changed_since_an_older_snapshot(mirror: Commands) -> None:
    mirror.run("snapshot", "create", "older")
    mirror.index.upload(wheel("demo", "2.0"), upload_time=datetime.now(UTC))
    time.sleep(1.5)
    between = datetime.now(UTC).isoformat(timespec="milliseconds")
    mirror.index.upload(wheel("demo", "3.0"), upload_time=datetime.now(UTC) + timedelta(seconds=1))
    mirror.run("mirror")
    mirror.index.remove_release("demo", "1.0")
    mirror.index.remove_project("gone")
    mirror.index.upload(wheel("new", "1.0"), upload_time=datetime.now(UTC))
    mirror.run("mirror")

    shown = mirror.run("snapshot", "create", "between", "--as-of", between)
    assert "Reads 3 pages, which have changed since the snapshot older." in shown
    assert "shows 2 files that left the live index" in shown
    assert files_of(mirror, "between", "demo") == [
        "demo-1.0-py3-none-any.whl",
        "demo-2.0-py3-none-any.whl",
    ]
    assert files_of(mirror, "between", "gone") == ["gone-1.0-py3-none-any.whl"]
    assert files_of(mirror, "between", "new") == []
    assert names_in(mirror, "between") == ["demo", "gone", "same"]
    mirror.run("snapshot", "delete", "older")
    assert {"demo-1.0-py3-none-any.whl", "gone-1.0-py3-none-any.whl"} <= mirror.files()


@pytest.mark.parametrize(
    "moment", ["2999-01-01", "2999-01-01T00:00:00Z", "yesterday", "2026-13-01"]
)
def test_times_that_cannot_be_shown_are_refused(mirror: Commands, moment: str) -> None:
    known = moment.startswith("2999")
    refused = mirror.run("snapshot", "create", "a", "--as-of", moment, status=1 if known else 2)
    assert "is in the future" in refused if known else "must be a date or a time" in refused
    assert not (mirror.folder / "state/snapshots.json").exists()

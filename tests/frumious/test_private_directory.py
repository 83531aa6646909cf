"""A folder of private wheels and sdists, published beside the mirrored projects."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from frumious.cli.main import main
from tests.upstream import NO_CHANGELOG, sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.upstream.dist import Dist


class Mirror:
    """A mirror in a folder, and a private folder."""

    def __init__(self, folder: Path, upstream: Server) -> None:
        self.private = folder / "private"
        self.private.mkdir()
        self.folder = folder / "mirror"
        self.upstream = upstream
        self.conf = folder / "mirror.conf"
        self.configure(f"[private]\ndirectory = {self.private}\n")

    def configure(self, sections: str, options: str = "delete-after = 0") -> None:
        self.conf.write_text(
            f"[mirror]\ndirectory = {self.folder}\nmaster = {self.upstream.url}\n"
            f"allow-non-https = true\nretry-pause = 0.01\n{options}\n{sections}"
        )

    def put(self, dist: Dist, folder: str = "") -> Path:
        """Copy a file into the private folder, with a time of its own."""
        (self.private / folder).mkdir(exist_ok=True)
        path = self.private / folder / dist.filename
        path.write_bytes(dist.content)
        return path

    def run(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["-c", str(self.conf), *arguments])
        assert done.exit_code == code, (arguments, done.output)
        return done.output

    def page(self, project: str) -> dict[str, Any]:
        path = self.folder / f"web/simple/{project}/index.v1_json"
        page: dict[str, Any] = json.loads(path.read_text())
        return page

    def files(self, project: str) -> set[str]:
        return {file["filename"] for file in self.page(project)["files"]}

    @property
    def listed(self) -> set[str]:
        root = json.loads((self.folder / "web/simple/index.v1_json").read_text())
        return {each["name"] for each in root["projects"]}

    @property
    def stored(self) -> set[str]:
        files = (self.folder / "web/packages").rglob("*.*")
        return {path.name for path in files if path.suffix in {".whl", ".gz"}}

    def leaks(self, name: str) -> list[str]:
        """Return the requests that upstream got with a name."""
        return [each.target for each in self.upstream.requests if name in each.target]


@pytest.fixture
def mirror(tmp_path: Path, upstream: Server) -> Mirror:
    return Mirror(tmp_path, upstream)


def test_the_breaker_for_what_upstream_takes_away_does_not_stop_private_removals(
    mirror: Mirror,
) -> None:
    mirror.configure(f"[private]\ndirectory = {mirror.private}\n", "max-losses = 0% 0 0GiB")
    for version in ("1.0", "2.0"):
        mirror.put(wheel("acme-lib", version))
    mirror.run("mirror")

    (mirror.private / wheel("acme-lib", "1.0").filename).unlink()
    mirror.run("mirror")

    assert mirror.files("acme-lib") == {wheel("acme-lib", "2.0").filename}


def test_private_projects_are_published_beside_the_mirrored_ones(
    mirror: Mirror, index: Index
) -> None:
    index.upload(wheel("six", "1.0"))
    lib = wheel("acme-lib", "1.0", requires=["six"], requires_python=">=3.9")
    mirror.put(lib)
    mirror.put(sdist("acme.tool", "2.0", requires_python=">=3.8"), folder="Acme_Tool")
    (mirror.private / "SHA256SUMS").write_text("not a distribution")
    shown = mirror.run("plan")
    assert "acme-lib: update, 1 new file" in shown
    mirror.run("mirror")

    assert mirror.listed == {"acme-lib", "acme-tool", "six"}
    page = mirror.page("acme-lib")
    (file,) = page["files"]
    assert file["hashes"]["sha256"] == hashlib.sha256(lib.content).hexdigest()
    assert file["requires-python"] == ">=3.9"
    assert file["size"] == len(lib.content)
    assert page["versions"] == ["1.0"]
    assert page["meta"]["api-version"] == "1.4"
    stored = (mirror.folder / "web/simple/acme-lib" / file["url"]).resolve()
    assert stored.read_bytes() == lib.content
    metadata = stored.with_name(f"{stored.name}.metadata").read_bytes()
    assert metadata == lib.core_metadata
    assert file["core-metadata"] == {"sha256": hashlib.sha256(metadata).hexdigest()}
    modified = (mirror.private / lib.filename).stat().st_mtime
    assert file["upload-time"].startswith(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(modified)))
    (tool,) = mirror.page("acme-tool")["files"]
    assert tool["requires-python"] == ">=3.8"
    html = (mirror.folder / "web/simple/acme-lib/index.html").read_text()
    assert lib.filename in html
    assert mirror.leaks("acme") == []
    assert "no damage" in mirror.run("verify", "--deep")
    assert mirror.run("doctor") == mirror.run("doctor")
    assert "Private, never asked upstream: acme-lib, acme-tool" in mirror.run("status")
    assert "acme-lib: private, with 1 of 1 files" in mirror.run("explain", "Acme_Lib")


def test_a_run_reads_no_file_when_nothing_has_changed(mirror: Mirror) -> None:
    path = mirror.put(wheel("acme-lib", "1.0"))
    mirror.run("mirror")
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    pages = (mirror.folder / "web/simple/acme-lib/index.v1_json").stat().st_mtime_ns
    assert "Nothing to do" in mirror.run("mirror")
    mirror.put(wheel("acme-lib", "2.0"))
    mirror.run("mirror")
    assert path.stat().st_atime_ns == 1
    assert (mirror.folder / "web/simple/acme-lib/index.v1_json").stat().st_mtime_ns != pages
    assert mirror.files("acme-lib") == {
        "acme_lib-1.0-py3-none-any.whl",
        "acme_lib-2.0-py3-none-any.whl",
    }


def test_private_wins_over_what_was_mirrored_and_upstream_is_asked_no_more(
    mirror: Mirror, index: Index, upstream: Server
) -> None:
    index.upload(wheel("acme-lib", "1.0", filling=b"hostile"))
    index.upload(wheel("acme-lib", "9.0"))
    mirror.run("mirror", code=1)  # the directory has no file yet
    assert len(mirror.files("acme-lib")) == 2
    upstream.clear()
    ours = wheel("acme-lib", "1.0")
    mirror.put(ours)
    index.upload(wheel("acme-lib", "10.0"))
    mirror.run("mirror")
    (file,) = mirror.page("acme-lib")["files"]
    assert file["hashes"]["sha256"] == hashlib.sha256(ours.content).hexdigest()
    assert mirror.stored == {ours.filename}
    for verb in (("mirror", "--force-check"), ("sync", "acme-lib"), ("verify", "--repair")):
        mirror.run(*verb)
    assert mirror.leaks("acme") == []

    mirror.configure("")
    mirror.run("mirror")
    assert len(mirror.files("acme-lib")) == 3
    assert mirror.page("acme-lib")["meta"]["_last-serial"] == index.serial
    assert "no damage" in mirror.run("verify", "--deep")


def test_a_file_that_leaves_the_folder_leaves_the_page(mirror: Mirror) -> None:
    first, second = wheel("acme-lib", "1.0"), wheel("acme-lib", "2.0")
    path = mirror.put(first)
    mirror.put(second)
    mirror.run("mirror")
    path.unlink()
    mirror.run("mirror")
    assert mirror.files("acme-lib") == {second.filename}
    assert mirror.stored == {second.filename}


def test_a_project_that_leaves_the_folder_stays_private_until_it_is_released(
    mirror: Mirror, index: Index
) -> None:
    index.upload(wheel("acme-lib", "9.0"))
    path = mirror.put(wheel("acme-lib", "1.0"))
    mirror.put(wheel("acme-tool", "1.0"))
    mirror.run("mirror")
    path.unlink()
    shown = mirror.run("mirror")
    assert "acme-lib: removed (gone from the private directory)" in shown
    assert mirror.listed == {"acme-tool"}
    mirror.run("mirror", "--force-check")
    mirror.run("sync", "acme-lib", code=1)
    assert mirror.listed == {"acme-tool"}
    assert mirror.leaks("acme") == []

    mirror.configure(f"[private]\ndirectory = {mirror.private}\nreleased = acme-lib\n")
    mirror.run("mirror")
    assert mirror.listed == {"acme-lib", "acme-tool"}
    assert mirror.files("acme-lib") == {wheel("acme-lib", "9.0").filename}


@pytest.mark.parametrize("kind", ["empty", "missing", "unreadable"])
def test_an_empty_or_unreachable_folder_is_an_outage(
    mirror: Mirror, index: Index, kind: str
) -> None:
    index.upload(wheel("acme-lib", "9.0"))
    path = mirror.put(wheel("acme-lib", "1.0"))
    mirror.run("mirror")
    if kind == "unreadable":
        mirror.private.rename(mirror.private.with_name("elsewhere"))
        mirror.private.write_text("a file")
    else:
        path.unlink()
        if kind == "missing":
            mirror.private.rmdir()
    index.upload(wheel("six", "1.0"))
    shown = mirror.run("mirror", code=1)
    assert f"private directory {str(mirror.private)!r}: it" in shown
    assert "private file" not in shown
    assert shown.count("and all projects stay") == 1
    assert mirror.listed == {"acme-lib", "six"}
    assert mirror.files("acme-lib") == {wheel("acme-lib", "1.0").filename}
    assert mirror.leaks("acme") == []


def test_a_directory_that_never_had_a_file_is_a_problem(mirror: Mirror, index: Index) -> None:
    index.upload(wheel("six", "1.0"))
    for verb, code in (("mirror", 1), ("mirror", 1), ("status", 0)):
        shown = mirror.run(verb, code=code)
        assert f"private directory {str(mirror.private)!r}: it has no wheel or sdist" in shown
    assert mirror.listed == {"six"}
    mirror.put(wheel("acme-lib", "1.0"))
    mirror.run("mirror")
    assert mirror.listed == {"acme-lib", "six"}


def test_nothing_is_planned_while_no_run_has_ever_read_the_folder(
    mirror: Mirror, index: Index, upstream: Server
) -> None:
    index.upload(wheel("acme-lib", "9.0"))
    mirror.private.rmdir()
    assert "is not there" in mirror.run("mirror", code=1)
    assert "is not there" in mirror.run("sync", "acme-lib", code=1)
    assert "is not there" in mirror.run("explain", "acme-lib", code=1)
    assert upstream.requests == []


def test_another_file_under_a_known_name_is_refused(mirror: Mirror) -> None:
    first, other = wheel("acme-lib", "1.0"), wheel("acme-lib", "1.0", filling=b"other")
    path = mirror.put(first)
    mirror.run("mirror")
    path.write_bytes(other.content)
    shown = mirror.run("mirror", code=1)
    assert "has other bytes than before" in shown
    (file,) = mirror.page("acme-lib")["files"]
    assert file["hashes"]["sha256"] == hashlib.sha256(first.content).hexdigest()
    mirror.run("mirror", code=1)
    mirror.configure(
        f"[private]\ndirectory = {mirror.private}\n",
        "delete-after = 0\nallow-changed-files = true",
    )
    mirror.run("retry")
    mirror.run("mirror")
    (file,) = mirror.page("acme-lib")["files"]
    assert file["hashes"]["sha256"] == hashlib.sha256(other.content).hexdigest()


def test_bad_files_are_named_and_passed_over(mirror: Mirror, tmp_path: Path) -> None:
    good = wheel("acme-lib", "1.0")
    mirror.put(good)
    mirror.put(wheel("foreign", "1.0"), folder="acme-lib")
    mirror.put(good, folder="acme-lib")
    (mirror.private / "acme-1.0.win32.exe").write_bytes(b"MZ")
    (mirror.private / "nonsense.whl").write_bytes(b"PK")
    (mirror.private / "acme_lib-1.1-py3-none-any.whl").write_bytes(b"no zip at all")
    renamed = wheel("other", "1.2").content
    (mirror.private / "acme_lib-1.2-py3-none-any.whl").write_bytes(renamed)
    outside = tmp_path / "acme_lib-1.3-py3-none-any.whl"
    outside.write_bytes(wheel("acme-lib", "1.3").content)
    (mirror.private / outside.name).symlink_to(outside)
    shown = mirror.run("mirror", code=1)
    for text in (
        "'acme-lib/foreign-1.0-py3-none-any.whl': it belongs to 'foreign'",
        "'acme_lib-1.0-py3-none-any.whl' has the same name"
        if "'acme_lib-1.0-py3-none-any.whl' has the same name" in shown
        else "'acme-lib/acme_lib-1.0-py3-none-any.whl' has the same name",
        "'acme-1.0.win32.exe': its name is not",
        "'nonsense.whl': its name is not",
        "leads out of the directory",
    ):
        assert shown.count(text) == 1
    assert mirror.files("acme-lib") == {good.filename}
    status = mirror.run("status", code=1)
    assert "acme-lib is lagging: a private file cannot be published" in status


@pytest.mark.parametrize("dist", [wheel("acme-lib", "1.0"), sdist("acme-lib", "1.0")])
def test_a_file_that_is_still_being_copied_waits_for_a_later_run(
    mirror: Mirror, dist: Dist
) -> None:
    mirror.put(wheel("acme-lib", "0.9"))
    path = mirror.put(dist)
    for part in (dist.content[: len(dist.content) // 2], b"\0" * len(dist.content)):
        path.write_bytes(part)
        shown = mirror.run("mirror", code=1)
        assert f"'{dist.filename}' is not a whole archive, or is still being written" in shown
        assert mirror.files("acme-lib") == {"acme_lib-0.9-py3-none-any.whl"}
    path.write_bytes(dist.content)
    mirror.run("mirror")
    assert mirror.files("acme-lib") == {"acme_lib-0.9-py3-none-any.whl", dist.filename}


def test_a_wheel_with_a_damaged_member_is_not_published(mirror: Mirror) -> None:
    content = bytearray(wheel("acme-lib", "1.0", filling=b"x" * 5000).content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        offset = archive.getinfo("acme_lib/filling.bin").header_offset
    content[offset + 200] ^= 1
    (mirror.private / "acme_lib-1.0-py3-none-any.whl").write_bytes(content)
    assert "checksum" in mirror.run("mirror", code=1)
    assert mirror.stored == set()


def test_no_filter_applies_to_a_private_project(mirror: Mirror, index: Index) -> None:
    for version in ("1.0", "2.0", "3.0rc1"):
        mirror.put(wheel("acme-lib", version))
        index.upload(wheel("six", version))
    mirror.configure(
        f"[private]\ndirectory = {mirror.private}\n[plugins]\nenabled =\n    allowlist_project\n"
        "    blocklist_project\n    latest_release\n    prerelease_release\n"
        "[allowlist]\npackages = six\n[blocklist]\npackages = acme-lib\n"
        "[latest_release]\nkeep = 1\n"
    )
    mirror.run("mirror")
    assert len(mirror.files("acme-lib")) == 3
    assert len(mirror.files("six")) == 1
    assert mirror.leaks("acme") == []


def test_a_damaged_private_file_is_repaired_from_the_folder(mirror: Mirror) -> None:
    dist = wheel("acme-lib", "1.0")
    mirror.put(dist)
    mirror.run("mirror")
    (stored,) = (mirror.folder / "web/packages").rglob("*.whl")
    for path in (stored, stored.with_name(f"{stored.name}.metadata")):
        right = path.read_bytes()
        path.write_bytes(right[::-1])
        mirror.run("verify", "--deep", "--repair")
        assert path.read_bytes() == right
    assert mirror.page("acme-lib")["files"][0]["core-metadata"]
    assert mirror.leaks("acme") == []


def test_a_private_project_can_be_deleted_by_name_and_comes_back_by_name(mirror: Mirror) -> None:
    mirror.put(wheel("acme-lib", "1.0"))
    mirror.put(wheel("acme-tool", "1.0"))
    mirror.run("mirror")
    mirror.run("delete", "acme-lib")
    mirror.put(wheel("acme-lib", "2.0"))
    mirror.run("mirror")
    assert mirror.listed == {"acme-tool"}
    mirror.run("sync", "acme-lib")
    assert mirror.listed == {"acme-lib", "acme-tool"}
    assert mirror.leaks("acme") == []


def test_many_projects_that_leave_the_folder_at_once_wait_for_a_confirmation(
    mirror: Mirror,
) -> None:
    for number in range(24):
        mirror.put(wheel(f"acme-{number}", "1.0"))
    mirror.run("mirror")
    for path in [*mirror.private.iterdir()][:20]:
        path.unlink()
    shown = mirror.run("mirror", code=1)
    assert "20 have private names and no file in the private directory" in shown
    assert len(mirror.listed) == 24
    mirror.run("mirror", "--confirm-removals", "20")
    assert len(mirror.listed) == 4
    assert mirror.leaks("acme") == []


@pytest.mark.parametrize("has_changelog", [True, False])
def test_no_verb_asks_upstream_for_a_name_of_the_folder(
    mirror: Mirror, index: Index, upstream: Server, *, has_changelog: bool
) -> None:
    """Neither while its files are there, nor when they are gone, nor while nobody can see them."""
    if not has_changelog:
        upstream.personality = NO_CHANGELOG
    mirror.configure(
        f"[private]\ndirectory = {mirror.private}\n[plugins]\nenabled = allowlist_project\n"
        "[allowlist]\npackages =\n    acme-lib\n    acme-tool\n    six\n",
        "delete-after = 0\njson = true",
    )
    for name in ("acme-lib", "acme-tool", "six"):
        index.upload(wheel(name, "9.0"))
    first, second = mirror.put(wheel("acme-lib", "1.0")), mirror.put(wheel("acme-tool", "1.0"))
    verbs = (
        "estimate",
        "explain acme-lib",
        "plan",
        "mirror",
        "sync acme-lib",
        "mirror",
        "retry",
        "mirror --force-check",
        "mirror --reset-serials",
        "verify --repair",
        "status",
    )
    for step in ("there", "one is gone", "outage"):
        if step == "one is gone":
            second.unlink()
        if step == "outage":
            first.unlink()
        for name in ("acme-lib", "acme-tool", "six"):
            index.upload(wheel(name, f"9.{len(step)}"))
        for verb in verbs:
            CliRunner().invoke(main, ["-c", str(mirror.conf), *verb.split()])
        assert mirror.leaks("acme") == [], step
        listed = {"acme-lib", "six"} | ({"acme-tool"} if step == "there" else set())
        assert mirror.listed == listed
    assert mirror.files("acme-lib") == {wheel("acme-lib", "1.0").filename}


def test_a_damaged_listing_is_made_again(mirror: Mirror, index: Index) -> None:
    index.upload(wheel("acme-lib", "9.0"))
    mirror.put(wheel("acme-lib", "1.0"))
    mirror.run("mirror")
    state = mirror.folder / "state/private.json"
    state.write_text("{")
    assert "state/private.json" in mirror.run("doctor", code=1)
    mirror.run("mirror")
    assert json.loads(state.read_text())["projects"].keys() == {"acme-lib"}
    assert mirror.leaks("acme") == []

"""Bundles: made, carried, imported; and what is refused."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frumious.bundles.errors import InvalidBundle
from frumious.bundles.importing import Signed, import_bundles, read_signed
from frumious.bundles.locations import Bundle
from frumious.bundles.manifest import Head
from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import lock
from tests.airgap.sides import Side, pair
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from frumious.mirror import Mirror
    from tests.upstream import Index, Server
    from tests.world import World

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def sides(upstream: Server, index: Index, tmp_path: Path) -> tuple[Side, Side, Path]:
    for name in ("one", "two", "two-more", "three"):
        index.upload(wheel(name, "1.0"))
        index.upload(sdist(name, "1.0"))
    return pair(tmp_path, upstream.url)


def export(source: Side, gap: Path, *options: str) -> Path:
    source.run("mirror")
    done = json.loads(source.run("export", "--to", str(gap), "--json", *options))
    return Path(done["bundle"])


def test_bundles_keep_a_mirror_the_same(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    assert target.objects() == source.objects()

    index.upload(wheel("two", "2.0"))
    index.upload(wheel("four", "1.0"))
    index.remove_project("one")
    index.remove_release("three", "1.0")
    index.archive("two-more")
    second = export(source, gap)
    head = json.loads((second / "bundle.json").read_bytes())
    assert (head["changed"], head["removed"]) == (3, 1)
    assert "two-2.0" in (second / "files-001.tar").read_bytes().decode(errors="replace")
    assert b"two-1.0" not in (second / "files-001.tar").read_bytes()
    target.run("import", str(second))
    assert target.objects() == source.objects()
    assert "Nothing to do" in target.run("import", str(gap))
    target.run("verify", "--deep")


def test_upstream_does_not_change_a_mirror_that_imports_bundles(
    index: Index, upstream: Server, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    index.upload(wheel("one", "2.0"))
    second = export(source, gap)
    imported = target.objects()
    target.configure(f"master = {upstream.url}\nallow-non-https = true\n{target.options}")
    asked = len(upstream.requests)

    for arguments in (["mirror"], ["plan"], ["sync", "one"], ["follow", upstream.url, "--once"]):
        refused = target.run(*arguments, code=1)
        assert "bundles keep this mirror in step" in refused
        assert "'frumious import'" in refused
    assert len(upstream.requests) == asked
    assert target.objects() == imported
    target.run("import", str(second))
    assert target.objects() == source.objects()

    (target.mirror / "state/import.json").unlink()
    target.run("mirror")


def test_a_complete_bundle_repairs_what_the_target_has_lost(
    sides: tuple[Side, Side, Path],
) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    web = target.mirror / "web"
    one, two = sorted(web.glob("packages/**/*.whl"))[:2]
    one.unlink()
    two.write_bytes(two.read_bytes()[::-1])
    (web / "simple/three/index.v1_json").unlink()
    (web / "simple/two/index.html").write_bytes(b"")
    target.run("verify", "--deep", code=1)

    target.run("import", str(export(source, gap, "--since", "0")))
    target.run("verify", "--deep")


def test_a_missing_bundle_is_named(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    first = export(source, gap)
    serial = json.loads((first / "bundle.json").read_bytes())["serial"]
    index.upload(wheel("two", "2.0"))
    second = export(source, gap)
    index.upload(wheel("two", "3.0"))
    third = export(source, gap)
    assert "has imported nothing yet" in target.run("import", str(second), code=1)
    target.run("import", str(first))
    before = target.objects()
    missing = target.run("import", str(third), code=1)
    assert f"at serial {serial}: import the missing bundle from serial {serial} to" in missing
    assert target.objects() == before
    target.run("import", str(third), str(second))  # sorted
    assert target.objects() == source.objects()


def test_a_lost_bundle_is_exported_again(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    first = export(source, gap)
    serial = json.loads((first / "bundle.json").read_bytes())["serial"]
    target.run("import", str(first))
    index.upload(wheel("two", "2.0"))
    shutil.rmtree(export(source, gap))
    index.upload(wheel("three", "3.0"))
    again = export(source, gap, "--since", str(serial))
    target.run("import", str(again))
    assert target.objects() == source.objects()
    source.run("export", "--to", str(gap), "--since", "5", code=1)


def test_a_destination_is_the_same_however_it_is_spelled(
    index: Index, sides: tuple[Side, Side, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    monkeypatch.chdir(gap.parent)
    for number, spelled in enumerate((gap.name, f"./{gap.name}/", str(gap)), 2):
        index.upload(wheel("two", f"{number}.0"))
        assert not json.loads(source.run("export", "--to", spelled, "--json"))["complete"]
    # As an earlier version has written it, for each spelling.
    records = source.mirror / "state/exports.json"
    known = json.loads(records.read_bytes())
    (kept,) = known["exports"].values()
    known["exports"] = {gap.name: kept[:2], f"{gap}/": kept[2:]}
    records.write_text(json.dumps(known))
    index.upload(wheel("two", "5.0"))
    source.run("mirror")
    assert not json.loads(source.run("export", "--to", str(gap), "--json"))["complete"]
    target.run("import", str(gap))
    source_objects = source.objects()
    assert target.objects() == source_objects


def test_a_bundle_of_another_destination_is_not_taken_for_a_gap(
    index: Index, sides: tuple[Side, Side, Path], tmp_path: Path
) -> None:
    source, target, gap = sides
    first = export(source, gap)
    index.upload(wheel("two", "2.0"))
    target.run("import", str(export(source, tmp_path / "other")))
    index.upload(wheel("two", "3.0"))
    refused = target.run("import", str(export(source, gap)), code=1)
    serial = json.loads((first / "bundle.json").read_bytes())["serial"]
    assert "does not follow number 2" in refused
    assert f"but another one up to serial {serial}: go on with" in refused


def test_the_first_bundle_is_number_one_whatever_failed_before(
    index: Index, sides: tuple[Side, Side, Path], tmp_path: Path
) -> None:
    source, _, gap = sides
    gap.rmdir()
    assert "no root index yet" in source.run("export", "--to", str(gap), code=1)
    assert not gap.exists()
    source.run("mirror")
    file = tmp_path / "file"
    file.touch()
    assert "Not a directory; choose another destination" in source.run(
        "export", "--to", str(file / "gap"), code=1
    )
    assert "frumious-000001-from-0-" in source.run("export", "--to", str(gap))


def test_a_status_says_which_bundle_was_imported_last(
    index: Index, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    assert "There is no mirror of" in target.run("status", code=1)
    bundle = export(source, gap)
    damaged = bundle / "pages-001.tar"
    body = damaged.read_bytes()
    damaged.write_bytes(body[:2000])
    target.run("import", str(bundle), code=1)
    assert "was not finished: run 'frumious import'" in target.run("status", code=1)
    damaged.write_bytes(body)
    target.run("import", str(bundle))
    serial = json.loads((bundle / "bundle.json").read_bytes())["serial"]
    assert target.run("status").startswith(f"Serial: {serial}, by the imported bundle number 1\n")
    shown = json.loads(target.run("status", "--json"))
    assert shown["imported"] == {"serial": serial, "number": 1, "complete": True}


def test_a_snapshot_of_the_target_stays_as_it_was_whatever_is_imported(
    index: Index, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    target.run("snapshot", "create", "before")
    before = {name: shown(target, name) for name in ("one", "two", "three", "two-more", "four")}
    index.upload(wheel("two", "2.0"))
    index.remove_release("three", "1.0")
    index.remove_project("one")
    index.upload(wheel("four", "1.0"))

    target.run("import", str(export(source, gap)))

    files = {name: {*before[name]} for name in before}
    assert files["one"] == {"one-1.0-py3-none-any.whl", "one-1.0.tar.gz"}
    assert files["four"] == set()
    assert {name: shown(target, name) for name in before} == before
    kept = {path.stem for path in (target.mirror / "state/snapshots/before").iterdir()}
    assert kept == {"one", "two", "three", "four"}
    for url in (each for name in before for each in before[name].values()):
        assert (target.mirror / "web/simple/x" / url.partition("#")[0]).resolve().is_file()
    target.run("verify")
    assert "one-1.0" in target.run("snapshot", "diff", "before", "live")


def shown(side: Side, project: str) -> dict[str, str]:
    """Return the files that the snapshot `before` shows of a project, with their links."""
    pages = (side.mirror / "web" / each for each in ("snapshot/before/simple", "simple"))
    found = [page for page in (each / project / "index.v1_json" for each in pages) if page.exists()]
    if not found:
        return {}
    return {each["filename"]: each["url"] for each in json.loads(found[0].read_bytes())["files"]}


def test_keys_and_projects_that_are_wrong_are_named(
    index: Index, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    bundle = export(source, gap)
    text = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO"
    refused = target.run("import", "--key", text, str(gap), code=1)
    assert f"{text!r} is neither a public key nor a file: " in refused
    refused = target.run("import", "--key", f"{text}3", str(gap), code=1)
    assert f"{bundle}: the signature is by the key " in refused
    left_out = source.run("export", "--to", f"{gap}/x.tar", "--projects", "absent", code=1)
    assert "absent is left out: the mirror does not have it" in left_out
    assert "1 left out; when the mirror has them, export again" in left_out


@pytest.mark.parametrize("name", ["files-001.tar", "pages-001.tar", "manifest.ndjson"])
@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_damage_is_found_before_anything_is_visible(
    index: Index, sides: tuple[Side, Side, Path], name: str, damage: str
) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    before = target.objects()
    index.upload(wheel("two", "2.0"))
    index.remove_project("one")
    bundle = export(source, gap)
    path = bundle / name
    body = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(body[: len(body) // 3])
    else:
        at = 1700  # behind the tar header of the first object
        path.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    assert "Error" in target.run("import", str(bundle), code=1)
    after = target.objects()
    assert {key: after[key] for key in before} == before
    assert {key for key in after.keys() - before.keys() if "/packages/" not in key} == set()
    path.write_bytes(body)
    target.run("import", str(bundle))
    assert target.objects() == source.objects()


def test_forged_bundles_are_refused(
    index: Index, sides: tuple[Side, Side, Path], tmp_path: Path
) -> None:
    source, target, gap = sides
    bundle = export(source, gap)
    head = bundle / "bundle.json"
    original = head.read_bytes()
    head.write_bytes(original.replace(b'"removed": 0', b'"removed": 1'))
    assert "has been changed" in target.run("import", str(bundle), code=1)
    head.write_bytes(original)
    source.run("keys", "generate", str(tmp_path / "other"))
    other = (tmp_path / "other.pub").read_text()
    refused = target.run("import", "--key", str(tmp_path / "other.pub"), str(bundle), code=1)
    assert "not one of those to trust" in refused
    assert target.objects() == {}
    assert source.run("keys", "show", str(tmp_path / "other")).strip() in other
    target.run("import", "--key", str(tmp_path / "key.pub"), str(bundle))


def test_removals_wait_for_a_confirmation(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    target.run("import", str(export(source, gap)))
    before = target.objects()
    for name in ("one", "two", "three"):
        index.remove_project(name)
    source.run("mirror", "--confirm-removals", "3")
    bundle = export(source, gap)
    waits = target.run("import", str(bundle), code=1)
    assert "3 of 4 projects would be removed" in waits
    assert target.objects() == before
    target.run("import", "--confirm-removals", "3", str(bundle))
    assert target.objects() == source.objects()


@pytest.mark.parametrize("removes_projects", [False, True])
def test_lost_files_wait_for_a_confirmation(
    index: Index,
    sides: tuple[Side, Side, Path],
    removes_projects: bool,  # noqa: FBT001
) -> None:
    source, target, gap = sides
    for version in ("7.0", "8.0", "9.0"):
        index.upload(wheel("losing", version))
    source.run("mirror")
    target.run("import", str(export(source, gap)))
    public = f"[import]\npublic-key = {gap.parent}/key.pub\n"
    target.configure(f"max-losses = 0% 2 1GiB\n{public}")
    before = target.objects()
    for version in ("7.0", "8.0"):
        index.remove_release("losing", version)
    if removes_projects:
        index.remove_project("losing")
    else:
        index.remove_release("losing", "9.0")
    source.run("mirror", "--confirm-removals", "1")
    bundle = export(source, gap)

    for _ in range(2):  # also if it is done again
        waits = target.run("import", str(bundle), code=1)
        assert "would lose 3 files" in waits
        assert "--confirm-losses 3" in waits
        assert target.objects() == before
    target.run("import", "--confirm-losses", "2", str(bundle), code=1)

    confirmed = ("--confirm-removals", "1") if removes_projects else ("--confirm-losses", "3")
    target.run("import", *confirmed, str(bundle))
    assert target.objects() == source.objects()


def test_losses_of_several_bundles_count_together(
    index: Index, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    for version in ("6.0", "7.0", "8.0", "9.0"):
        index.upload(wheel("losing", version))
    source.run("mirror")
    target.run("import", str(export(source, gap)))
    public = f"[import]\npublic-key = {gap.parent}/key.pub\n"
    target.configure(f"max-losses = 0% 2 1GiB\n{public}")
    bundles = []
    for version in ("6.0", "7.0", "8.0"):
        index.remove_release("losing", version)
        source.run("mirror")
        bundles.append(str(export(source, gap)))

    waits = target.run("import", *bundles, code=1)

    assert "would lose 1 files" in waits
    target.run("import", "--confirm-losses", "1", *bundles)
    assert target.objects() == source.objects()


def test_an_archive_and_small_volumes_carry_the_same(
    index: Index, sides: tuple[Side, Side, Path]
) -> None:
    source, target, gap = sides
    index.upload(wheel("large", "1.0", filling=random.Random(1).randbytes(3_500_000)))
    archive = gap / "bundle.tar"
    source.run("mirror")
    source.run("export", "--to", str(archive), "--volume-size", "1M")
    assert [path.name for path in gap.iterdir() if path.suffix != ".lock"] == ["bundle.tar"]
    target.run("import", str(archive))
    assert target.objects() == source.objects()


def test_a_password_protects_the_key(
    sides: tuple[Side, Side, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _, gap = sides
    source.run("mirror")
    monkeypatch.setenv("FRUMIOUS_KEY_PASSWORD", "secret")
    source.run("keys", "generate", "--password", str(tmp_path / "locked"))
    assert (tmp_path / "locked").stat().st_mode & 0o777 == 0o600
    assert "exists" in source.run("keys", "generate", str(tmp_path / "locked"), code=1)
    monkeypatch.delenv("FRUMIOUS_KEY_PASSWORD")
    refused = source.run("export", "--to", str(gap), "--key", str(tmp_path / "locked"), code=1)
    assert "set FRUMIOUS_KEY_PASSWORD" in refused


def test_a_mirror_goes_from_a_folder_to_a_bucket_and_over_the_gap(
    index: Index, sides: tuple[Side, Side, Path], tmp_path: Path, world: World
) -> None:
    source, target, gap = sides
    bucket = Side(tmp_path / "bucket", f"storage-backend = s3\ndirectory = /{world.bucket}\n")
    text = bucket.conf.read_text("utf-8").replace(f"directory = {bucket.mirror}\n", "")
    key = source.conf.read_text("utf-8").partition("[export]")[2]
    bucket.conf.write_text(f"{text}[export]{key}", "utf-8")
    for change in range(2):
        if change:
            index.upload(wheel("two", "2.0"))
            index.remove_project("one")
        source.run("mirror")
        source.run("sync-to", str(bucket.conf))
        plain = {name for name in source.objects() if not re.search(r"index\.[^/]*\.gz", name)}
        assert {name for name in world.stored("web/") if "/gzip/" not in name} == plain
        assert all(world.read(name) == source.objects()[name] for name in plain)
        bucket.run("verify", "--deep")
        assert "0 projects changed" in source.run("sync-to", str(bucket.conf))
        made = json.loads(bucket.run("export", "--to", str(gap), "--json"))
        target.run("import", made["bundle"])
        assert target.objects() == source.objects()
    in_bucket = f"s3://{world.bucket}/bundles"
    bucket.run("export", "--to", in_bucket, "--since", "0", "--volume-size", "1M")
    other = Side(tmp_path / "other", "\n")
    other.run("import", in_bucket, "--key", str(tmp_path / "key.pub"))
    assert other.objects() == source.objects()


def test_named_projects_go_into_a_mirror_of_their_own(
    index: Index, sides: tuple[Side, Side, Path], tmp_path: Path
) -> None:
    source, target, gap = sides
    source.run("mirror")
    named = Side(tmp_path / "named", f"[import]\npublic-key = {tmp_path}/key.pub\n")
    old = json.loads(source.run("export", "--to", str(gap), "--projects", "Two", "--json"))
    named.run("import", old["bundle"])
    index.upload(wheel("two", "2.0"))
    lock = tmp_path / "requirements.txt"
    lock.write_text("three==1.0\nTwo==2.0\n", "utf-8")
    source.run("mirror")
    new = json.loads(source.run("export", "--to", str(gap), "--lock", str(lock), "--json"))
    named.run("import", new["bundle"])
    named.run("import", old["bundle"])  # its page is older
    shown, objects = source.objects(), named.objects()
    pages = {key: body for key, body in objects.items() if re.search("/(two|three)/", key)}
    assert len(pages) > 8
    assert pages == {key: shown[key] for key in pages}
    listed = json.loads(objects["web/simple/index.v1_json"])["projects"]
    assert [each["name"] for each in listed] == ["three", "two"]
    assert json.loads(objects["web/status.json"])["projects"] == 2
    named.run("verify", "--deep")

    target.run("import", str(export(source, gap)))
    assert "of its own" in target.run("import", new["bundle"], code=1)
    assert target.objects() == source.objects()
    absent = source.run("export", "--to", str(gap), "--projects", "absent", code=1)
    assert "the mirror does not have it" in absent


def test_a_folder_is_locked_while_another_is_copied_to_it(
    sides: tuple[Side, Side, Path],
) -> None:
    source, target, _ = sides
    source.run("mirror")
    with lock(Folder.at(target.mirror, manage_permissions=True)):
        assert "uses the mirror" in source.run("sync-to", str(target.conf), code=1)
    source.run("sync-to", str(target.conf))
    assert target.objects() == source.objects()


async def endless(name: str) -> AsyncGenerator[bytes, None]:
    for _ in range(32):
        yield bytes(1024**2)
    pytest.fail(f"{name} is read beyond its limit")


def test_a_head_without_an_end_is_broken_off() -> None:
    with pytest.raises(InvalidBundle, match="has more than"):
        asyncio.run(read_signed(Bundle("endless", endless), []))


def test_a_manifest_without_an_end_is_broken_off(world: World) -> None:
    """Only the head is signed: somebody who carries a bundle may put anything into its place."""

    async def run(mirror: Mirror) -> None:
        head = Head(
            format=1,
            source="0" * 32,
            id="1" * 32,
            sequence=1,
            previous=None,
            since=0,
            serial=7,
            created=0.0,
            layout=mirror.pages.layout.name,
            changed=1,
            removed=0,
            objects=1,
            bytes=1,
            manifest="0" * 64,
            manifest_size=1000,
            volumes=(),
        )
        async for _ in import_bundles([Signed(Bundle("endless", endless), head)], mirror):
            pass

    with pytest.raises(InvalidBundle, match="copy the bundle again"):
        world.run(run)

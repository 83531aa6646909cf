"""Files whose attestations are required are not shown, nor stored, before these are verified."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.errors import Reason
from frumious.model.attestations import Claim
from frumious.model.jobs import Job
from frumious.model.types import RunId
from frumious.syncing.attestations import MAX_BYTES, split
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from localcloud.environment import CHECKOUT
from tests.sigstore import Sigstore
from tests.upstream import Fault, Status, sdist
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from tests.world import World

REQUIRE = "require = demo"
REPORT = "report = demo"
PUBLISHER = "github.com/example/demo/release.yml"


@dataclass
class Attested:
    """A mirror that verifies attestations, and an upstream with files of a project `demo`."""

    world: World
    trust_root: Path
    sigstore: Sigstore

    def configure(self, rules: str) -> None:
        indented = rules.replace("\n", "\n ")
        sections = f"[attestations]\ntrust-root = {self.trust_root}\n{indented}"
        self.world.configure(sections=re.sub(r"\n (\w+ =)", r"\n\1", sections))

    def upload(self, version: str, *, sigstore: Sigstore | None = None, **wrong: Any) -> None:
        """Upload a file, with what is wrong with its attestations."""
        dist = sdist("demo", version)
        signer = sigstore or self.sigstore
        provenance = json.loads(signer.provenance(dist.filename, dist.content, **wrong))
        self.world.index.upload(dist, provenance=provenance)

    def upload_unattested(self, version: str) -> None:
        self.world.index.upload(sdist("demo", version))

    def sync(self, run: str = "run-1") -> Result:
        return self.world.sync("demo", run=run)

    def versions(self) -> list[str]:
        """Return the versions of the files on the page, each of which is stored."""
        page = self.world.page("demo")
        found = sorted(re.findall(r"demo-(.+?)\.tar\.gz", " ".join(map(str, page["files"]))))
        stored = {key.rpartition("/")[2] for key in self.world.files()}
        assert stored == {f"demo-{version}.tar.gz" for version in found}
        assert {*page["versions"]} == {*found}
        return sorted(set(found))

    def provenance(self) -> list[str]:
        """Return the versions of which the provenance is stored."""
        return [key.split("/")[3] for key in self.world.stored("web/integrity/demo/")]


@pytest.fixture
def attested(world: World, tmp_path: Path) -> Attested:
    sigstore = Sigstore()
    trust_root = tmp_path / "trusted_root.json"
    trust_root.write_bytes(sigstore.trust_root)
    return Attested(world, trust_root, sigstore)


def test_a_forged_file_is_kept_out_while_others_pass(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.upload("2.0", sigstore=Sigstore())
    attested.upload("3.0")

    result = attested.sync()

    assert attested.versions() == ["1.0", "3.0"]
    assert attested.provenance() == ["1.0", "3.0"]
    assert Reason.public(result.error or "") is Reason.UNVERIFIED
    assert "demo-2.0.tar.gz" in (result.error or "")
    assert result.unverified == 1
    fetched = attested.world.upstream.requests_for("/packages/")
    assert not any("demo-2.0" in request.path for request in fetched)


def test_a_file_without_attestations_is_kept_out(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    assert attested.sync().error is None
    attested.upload_unattested("2.0")

    result = attested.sync("run-2")

    assert attested.versions() == ["1.0"]
    assert "earlier files of the project have" in result.fault
    assert result.error is not None


def test_files_from_before_attestations_are_kept_out_without_a_fault(attested: Attested) -> None:
    attested.upload_unattested("1.0")
    attested.upload("2.0")
    attested.sync()
    assert attested.versions() == ["1.0", "2.0"]
    attested.configure(REQUIRE)

    result = attested.sync("run-2")

    assert attested.versions() == ["2.0"]
    assert (result.error, result.unverified) == (None, 0)


def test_exceptions_need_no_attestations(attested: Attested) -> None:
    attested.configure(f"{REQUIRE}\nexceptions = demo < 2\ndemo-3.0.tar.gz")
    for version in ("1.0", "2.0", "3.0"):
        attested.upload_unattested(version)
    attested.upload("4.0")

    assert attested.sync().error is None
    assert attested.versions() == ["1.0", "3.0", "4.0"]


def test_a_project_without_any_attestations_keeps_its_files_and_lags(attested: Attested) -> None:
    attested.upload_unattested("1.0")
    attested.sync()
    attested.configure(REQUIRE)
    attested.upload_unattested("2.0")

    result = attested.sync("run-2")

    assert attested.versions() == ["1.0"]
    assert "no file of the project has" in result.fault
    assert Reason.public(result.error or "") is Reason.UNVERIFIED


def test_another_publisher_is_kept_out_until_it_is_listed(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    attested.upload("2.0", repository="evil/demo")

    result = attested.sync("run-2")
    assert attested.versions() == ["1.0"]
    assert "another publisher" in result.fault

    listed = "publishers = demo github.com/example/demo\ndemo github.com/Evil/Demo"
    attested.configure(f"{REQUIRE}\n{listed}")
    assert attested.sync("run-3").error is None
    assert attested.versions() == ["1.0", "2.0"]


def test_listed_publishers_count_from_the_first_file_on(attested: Attested) -> None:
    attested.configure(f"{REQUIRE}\npublishers = demo github.com/example/demo")
    attested.upload("1.0", repository="example/demon")
    attested.upload("2.0", workflow="other.yml")

    assert "another publisher" in attested.sync().fault
    assert attested.versions() == ["2.0"]


def test_a_wrong_list_of_publishers_empties_no_page(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    attested.configure(f"{REQUIRE}\npublishers = demo github.com/exmaple/demo")

    result = attested.sync("run-2")

    assert attested.versions() == ["1.0"]
    assert result.error is not None


def test_reports_keep_nothing_out(attested: Attested) -> None:
    attested.configure(REPORT)
    attested.upload_unattested("0.9")
    attested.upload("1.0")
    first = attested.sync()
    assert (first.unverified, first.error) == (0, None)
    attested.upload_unattested("2.0")
    attested.upload("3.0", sigstore=Sigstore())
    attested.upload("4.0", repository="other/demo")

    result = attested.sync("run-2")

    assert attested.versions() == ["0.9", "1.0", "2.0", "3.0", "4.0"]
    assert attested.provenance() == ["1.0", "3.0", "4.0"]
    assert (result.unverified, result.error) == (3, None)


def test_what_is_known_is_not_verified_anew(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    attested.trust_root.write_bytes(Sigstore().trust_root)  # of which it would be no proof
    attested.configure(REQUIRE)
    attested.world.upstream.clear()

    assert attested.sync("run-2").error is None
    assert attested.versions() == ["1.0"]
    assert not attested.world.upstream.requests_for("/integrity/")


@pytest.mark.parametrize("rules", [REQUIRE, REPORT])
def test_without_a_verifier_removals_and_yanks_go_on(attested: Attested, rules: str) -> None:
    attested.configure(rules)
    for version in ("1.0", "2.0", "3.0"):
        attested.upload(version)
    attested.sync()
    attested.world.index.yank("demo", "1.0")
    attested.world.index.remove_release("demo", "2.0")
    attested.upload("4.0")
    broken: dict[str, Any] = {"tlogs": [{}], "ctlogs": [{}], "certificateAuthorities": [{}]}
    attested.trust_root.write_text(json.dumps(broken))
    attested.configure(rules)

    result = attested.sync("run-2")

    shown = ["1.0", "3.0"] if rules == REQUIRE else ["1.0", "3.0", "4.0"]
    assert attested.versions() == shown
    assert attested.world.page("demo")["files"][0]["yanked"]
    assert Reason.public(result.error or "") is Reason.UNVERIFIED, "it is tried again"

    attested.trust_root.write_bytes(attested.sigstore.trust_root)
    attested.configure(rules)
    assert attested.sync("run-3").error is None
    assert attested.versions() == ["1.0", "3.0", "4.0"]


def test_without_provenance_at_upstream_a_required_file_waits(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    attested.upload("2.0")
    attested.world.upstream.faults.add(Fault(Status(503), "/integrity/demo/2.0/"))

    assert attested.sync("run-2").error is not None
    assert attested.versions() == ["1.0"]

    attested.world.upstream.faults.clear()
    assert attested.sync("run-3").error is None
    assert attested.versions() == ["1.0", "2.0"]


def test_a_quarantine_is_followed(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    attested.world.index.quarantine_project("demo")

    attested.sync("run-2")

    assert attested.world.page("demo")["files"] == []
    assert attested.world.files() == {}
    attested.world.index.clear_project_quarantine("demo")
    attested.upload("2.0", repository="evil/demo")
    assert "another publisher" in attested.sync("run-3").fault, "the earlier one is still known"
    assert attested.versions() == ["1.0"]


def test_private_projects_and_those_that_are_not_named_pass(attested: Attested) -> None:
    attested.configure("require = other-*\nreport = third")
    attested.upload_unattested("1.0")
    attested.sync()
    assert attested.versions() == ["1.0"]
    assert not attested.world.stored("state/attestations/")


def test_a_damaged_record_counts_as_absent(attested: Attested) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.sync()
    key = "state/attestations/demo.json"
    attested.world.s3.put_object(Bucket=attested.world.bucket, Key=key, Body=b"{")
    attested.upload("2.0")

    assert attested.sync("run-2").error is None
    assert attested.versions() == ["1.0", "2.0"]
    assert attested.world.stored("state/damaged/attestations/demo.json")


def test_a_mirror_without_files_verifies_too(attested: Attested) -> None:
    attested.configure(REQUIRE)
    text = f"release-files = false\nroot_uri = {attested.world.upstream.url}"
    attested.world.configure(text, f"[attestations]\ntrust-root = {attested.trust_root}\n{REQUIRE}")
    attested.upload("1.0")
    attested.upload("2.0", sigstore=Sigstore())

    attested.sync()

    names = [file["filename"] for file in attested.world.page("demo")["files"]]
    assert names == ["demo-1.0.tar.gz"]


class Killed(BaseException):
    """A process that ends: no code of the mirror catches it."""


def sync_until_write(world: World, number: int) -> Result | None:
    """Run a job that is killed at its nth write; return its result if it has fewer."""
    writes = 0

    def kill(request: Any, **_: Any) -> None:
        nonlocal writes
        writes += request.method == "PUT"
        if writes == number:
            raise Killed

    async def sync(mirror: Mirror) -> Result:
        job = Job(RunId("run-1"), canonicalize_name("demo"), 0)
        attempt = Attempt(job, resuming=number > 1)
        with before_requests_to_s3(mirror, kill):
            return await sync_project(attempt, mirror, Transfer.of(attempt, mirror))

    try:
        return world.run(sync)
    except Killed:
        world.close()
        return None


def test_a_job_that_is_killed_at_any_write_shows_nothing_that_is_not_verified(
    attested: Attested,
) -> None:
    attested.configure(REQUIRE)
    attested.upload("1.0")
    attested.upload("2.0", sigstore=Sigstore())
    attested.upload("3.0")
    kills, result = 0, None
    while result is None:
        kills += 1
        result = sync_until_write(attested.world, kills)
        stored = attested.world.stored("web/")
        assert not any("demo-2.0" in key for key in stored)
    assert kills > 5
    assert attested.versions() == ["1.0", "3.0"]
    assert result.unverified == 1


def test_many_files_are_verified_in_parts(attested: Attested) -> None:
    attested.configure(REQUIRE)
    for minor in range(53):
        attested.upload(f"1.{minor}")
    attested.upload("2.0", sigstore=Sigstore())
    result = attested.sync()
    assert len(attested.versions()) == 53
    assert result.unverified == 1
    parts = [Claim("a", "", "x" * size) for size in (MAX_BYTES, 1, MAX_BYTES - 1, 1)]
    assert [len(part) for part in split(parts)] == [1, 2, 1]


def test_the_documented_example_does_what_it_says(attested: Attested) -> None:
    document = (CHECKOUT / "docs/selection.md").read_text()
    found = re.search(
        r"```ini\n(\[attestations\].+?)```\n\n- mirrored: (.+?)\n- kept out: (.+?)\n\n",
        document,
        re.DOTALL,
    )
    assert found is not None
    example = found[1].replace("/etc/frumious", str(attested.trust_root.parent))
    attested.world.configure(sections=example)
    attested.upload_unattested("1.0")
    attested.upload("2.0")
    attested.upload_unattested("2.1")
    attested.upload("2.2", sigstore=Sigstore())
    attested.upload("2.3", repository="evil/demo")

    attested.sync()

    assert attested.versions() == sorted(re.findall(r"demo-([0-9.]+)\.tar", found[2]))
    assert re.findall(r"demo-([0-9.]+)\.tar", found[3]) == ["2.1", "2.2", "2.3"]

"""Attestations are verified before anything of a file is stored, and files without are kept out.

That delays new files alone: what upstream removes or yanks, and what is verified, is published.
"""

from __future__ import annotations

import hashlib
import logging
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from frumious.concurrency import run_all
from frumious.config.attestations import Mode
from frumious.errors import FrumiousError, Reason, explain
from frumious.model.attestations import (
    MAX_TEXT,
    Claim,
    KnownAttestations,
    KnownFile,
    Verdict,
)
from frumious.model.blobs import keys_of, same_bytes
from frumious.selection.attestations import Judgement
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.state.attestations import AttestationRecord
from frumious.syncing.transfer import FILE_FAULTS
from frumious.upstream.failures import UpstreamUnavailable
from frumious.value import Mutable, Value

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.attestations import AttestationPolicy
    from frumious.mirror import Mirror
    from frumious.model.blobs import Blob, MirroredFile
    from frumious.model.jobs import Result
    from frumious.model.types import Key
    from frumious.syncing.comparison import Change, CurrentPage
    from frumious.syncing.transfer import Transfer

logger = logging.getLogger(__name__)

_MAX_CLAIMS: Final = 50  # that are fetched and verified at a time
MAX_BYTES: Final = 3 * 1024**2  # of their provenance; a function takes 6 MB as JSON
_MAX_LOGGED: Final = 20  # files in one log record


class Verified(Value, frozen=True):
    """What is left of a job's change, and what is wrong with attestations."""

    change: Change
    faults: Mapping[str, str]  # filename -> what is wrong
    withheld: frozenset[str] = frozenset()  # files that are kept out
    publishers: tuple[str, ...] = ()  # that are known of the project

    def reported(self, result: Result) -> Result:
        """Return a result that says how many files have faults, and which the first of them has."""
        if not self.faults:
            return result
        filename, fault = next(iter(self.faults.items()))
        text = f"{filename}: {fault}"[:MAX_TEXT]
        return replace(result, unverified=len(self.faults), fault=text)


async def verify_attestations(  # noqa: PLR0913 (what is known)
    change: Change,
    current_page: CurrentPage,
    transfer: Transfer,
    mirror: Mirror,
    *,
    publishers: tuple[str, ...] = (),
    read_only: bool = False,
) -> Verified:
    """Verify the attestations of the files that are not known yet, and apply the policy.

    `publishers` are known of the project, whatever the mirror's record says; empty: as it says.

    What is verified, and shown, is stored at once, so that the page names the provenance that was
    verified and no other. With `read_only`, nothing is stored.

    Raises:
        StorageUnavailable: what is known cannot be read or kept.
        Conflict: another job keeps it too.
    """
    policy, project = mirror.config.attestations, transfer.project
    mode = None if policy is None else policy.mode(project)
    if policy is None or mode is None or change.identities is not None:
        return Verified(change, {})
    record = AttestationRecord(project, mirror.storage, read_only=read_only)
    await record.read()
    if publishers:
        record.known = replace(record.known, publishers=publishers)
    check = _Check(project, change, transfer, mirror, policy, mode, record)
    await check.verify()
    return replace(check.applied(current_page), publishers=record.known.publishers)


class _Check(Mutable):
    """The verification of one project's files."""

    project: NormalizedName
    change: Change
    transfer: Transfer
    mirror: Mirror
    policy: AttestationPolicy
    mode: Mode
    record: AttestationRecord
    files: dict[str, KnownFile] = field(default_factory=dict)  # filename -> what is known now
    undecided: dict[str, str] = field(default_factory=dict)  # filename -> why nothing is known yet
    failure: str = ""  # why nobody verifies anything now

    async def verify(self) -> None:
        """Find out all that can be known of the files now, and keep it."""
        known, new = self.record.known, {blob.key for blob in self.change.new}
        unknown: list[tuple[MirroredFile, Blob]] = []
        for each in self.change.files:
            before, blob = self._before(each), _provenance_blob(each)
            if before.publisher and (blob is None or blob.key not in new):
                self.files[each.file.filename] = before
            elif blob is None:
                entry = KnownFile(before.sha256, late=before.late)
                self.files[each.file.filename] = entry
            else:
                unknown.append((each, blob))
        remaining = iter(unknown)
        while batch := [*islice(remaining, _MAX_CLAIMS)]:
            await self._verify_batch(batch, new)
            # A job whose time runs short is followed by one that goes on here.
            merged = {**known.files, **self.files}
            await self.record.write(KnownAttestations(known.publishers, merged))
        publishers = known.publishers
        if not (publishers or self.undecided):  # else some of them may be unknown
            found = {entry.publisher for entry in self.files.values() if entry.publisher}
            publishers = tuple(sorted(found))
        files = {name: known.files[name] for name in self.undecided if name in known.files}
        if self.change.files:  # a page that is empty for a while is no reason to forget
            files |= self.files
            await self.record.write(KnownAttestations(publishers, files))

    def applied(self, current_page: CurrentPage) -> Verified:
        """Return the change without what is kept out."""
        page = replace(self.change.page, files=tuple(each.file for each in self.change.files))
        subject = Subject.of(self.project, page, NO_CONTEXT)
        judgement = Judgement.of(
            subject,
            self.policy,
            self.files,
            self.record.known.publishers,
            undecided=bool(self.undecided),
        )
        faults, unproved = judgement.faults, judgement.unproved
        undecided = {name: why for name, why in self.undecided.items() if name in unproved}
        self._log({**faults, **undecided})
        refused = {**self.change.refused, **undecided}
        if self.mode is Mode.REPORT:
            return Verified(replace(self.change, refused=refused), faults)
        refused |= {
            name: Reason.UNVERIFIED.explain(f"{name!r}: {fault}") for name, fault in faults.items()
        }
        # What readers have stays while nothing is known, and a mistake empties no page.
        current = {each.file.filename: each.file.hashes for each in current_page.files}
        kept = undecided.keys() if len(unproved) < len(self.change.files) else unproved
        withheld = unproved.difference(
            each.file.filename
            for each in self.change.files
            if (name := each.file.filename) in kept
            and name in current
            and same_bytes(each.file.hashes, current[name])
        )
        files = tuple(each for each in self.change.files if each.file.filename not in withheld)
        keys = keys_of(files)
        change = replace(
            self.change,
            files=files,
            new=tuple(blob for blob in self.change.new if blob.key in keys),
            refused=refused,
        )
        if withheld:
            versions = subject.without(withheld).page.versions
            change = replace(change, page=replace(change.page, versions=versions))
        return Verified(change, faults, withheld)

    def _before(self, each: MirroredFile) -> KnownFile:
        """Return what was known of a file; of one with other bytes, nothing."""
        known, sha256 = self.record.known, each.file.hashes.get("sha256", "")
        before = known.files.get(each.file.filename)
        if before is not None and before.sha256 == sha256:
            return before
        return KnownFile(sha256, late=bool(known.publishers))

    async def _verify_batch(
        self, batch: Sequence[tuple[MirroredFile, Blob]], new: Container[Key]
    ) -> None:
        bodies = await run_all(self._fetch(each, blob, blob.key in new) for each, blob in batch)
        claims = [
            Claim(each.file.filename, self._before(each).sha256, body.decode(errors="replace"))
            for (each, _), body in zip(batch, bodies, strict=True)
            if body is not None
        ]
        verdicts = await self._verdicts(claims)
        to_store: list[tuple[Blob, bytes]] = []
        for (each, blob), body in zip(batch, bodies, strict=True):
            name, before = each.file.filename, self._before(each)
            if body is None or (verdict := verdicts.get(name)) is None:
                continue
            digest = hashlib.sha256(body).hexdigest()
            entry = KnownFile(
                before.sha256, digest, verdict.publisher, verdict.problem, late=before.late
            )
            self.files[name] = entry
            known = self.record.known.publishers
            is_proved = bool(entry.publisher) and self.policy.accepts(
                self.project, entry.publisher, known
            )
            is_shown = is_proved or self.mode is Mode.REPORT
            if blob.key in new and is_shown and not self.record.read_only:
                to_store.append((blob, body))
        await run_all(self._store(blob, body) for blob, body in to_store)

    async def _fetch(self, each: MirroredFile, blob: Blob, is_new: bool) -> bytes | None:  # noqa: FBT001
        """Return a file's provenance: what is stored, if that is known or shown; else upstream's.

        None: it is not available now.
        """
        before, name = self._before(each), each.file.filename
        if self.failure:
            self.undecided[name] = self.failure
            return None
        if before.publisher or (self.mirror.config.release_files and not is_new):
            stored = await self.mirror.storage.read(blob.key)
            digest = "" if stored is None else hashlib.sha256(stored.body).hexdigest()
            if stored is not None and (not is_new or digest == before.provenance):
                return stored.body
        try:
            async with self.transfer.upstream.downloads.use(self.project):
                return await self.transfer.fetch_provenance(blob)
        except (*FILE_FAULTS, UpstreamUnavailable) as error:
            self.undecided[name] = explain(error)
            return None

    async def _verdicts(self, claims: Sequence[Claim]) -> Mapping[str, Verdict]:
        """Return the verdicts by filename; without one: it is undecided."""
        verdicts: dict[str, Verdict] = {}
        for group in split(claims):
            if len(group) == 1 and len(group[0].provenance) > MAX_BYTES:
                verdicts[group[0].filename] = Verdict.refusing("its provenance is too large")
                continue
            try:
                found = await self.mirror.verifier.verify(group)
            except FrumiousError as error:  # the rest of this job would fail, too
                self.failure = explain(error)
                undecided = (each.filename for each in claims if each.filename not in verdicts)
                self.undecided |= dict.fromkeys(undecided, self.failure)
                break
            verdicts |= {each.filename: verdict for each, verdict in zip(group, found, strict=True)}
        return verdicts

    async def _store(self, blob: Blob, body: bytes) -> None:
        await self.mirror.storage.write(blob.key, body)
        self.transfer.verified.add(blob.key)
        self.transfer.stored += 1

    def _log(self, whys: Mapping[str, str]) -> None:
        if not whys:
            return
        first = dict(islice(whys.items(), _MAX_LOGGED))
        extra = {"project": self.project, "mode": self.mode, "files": len(whys), "errors": first}
        logger.warning("attestations are not verified", extra=extra)


def _provenance_blob(each: MirroredFile) -> Blob | None:
    """Return where a file's provenance is; None: upstream names none."""
    return next((blob for blob in each.blobs if blob.expected is None), None)


def split(claims: Iterable[Claim]) -> Iterator[list[Claim]]:
    """Split claims so that the provenance of each group is not too large for one request."""
    group: list[Claim] = []
    size = 0
    for claim in claims:
        if group and size + len(claim.provenance) > MAX_BYTES:
            yield group
            group, size = [], 0
        group.append(claim)
        size += len(claim.provenance)
    if group:
        yield group

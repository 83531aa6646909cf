"""What is wrong with a file's attestations, by what was verified and by the policy. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec import field

from frumious.config.attestations import Mode
from frumious.model.attestations import Fault
from frumious.selection.cooldown import NO_EXCEPTIONS
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.config.attestations import AttestationPolicy
    from frumious.model.attestations import KnownFile
    from frumious.selection.subject import Subject


def fault_of(
    entry: KnownFile,
    project: NormalizedName,
    policy: AttestationPolicy,
    publishers: tuple[str, ...],
    *,
    attested: bool,
) -> Fault | None:
    """Return what is wrong with a file's attestations, so that somebody has to look at it.

    `publishers` are those that are known of the project; `attested` says whether any of its files
    has valid attestations, or may have.
    """
    if entry.publisher:
        return None if policy.accepts(project, entry.publisher, publishers) else Fault.PUBLISHER
    if entry.problem:
        return Fault.INVALID
    if entry.late:
        return Fault.STOPPED
    return Fault.MISSING if policy.mode(project) is Mode.REQUIRE and not attested else None


class Judgement(Value, frozen=True):
    """What is wrong with the attestations of a project's files."""

    faults: Mapping[str, str] = field(default_factory=dict)  # filename -> what is wrong
    unproved: frozenset[str] = frozenset()  # those, and files that have none without a fault

    @classmethod
    def of(
        cls,
        subject: Subject,
        policy: AttestationPolicy,
        files: Mapping[str, KnownFile],
        publishers: tuple[str, ...],
        *,
        undecided: bool = False,
    ) -> Self:
        """Judge what is known of a project's files; of some, nothing may be known yet."""
        project = subject.project
        exceptions = policy.exceptions.get(project, NO_EXCEPTIONS)
        attested = undecided or any(each.publisher for each in files.values())
        faults: dict[str, str] = {}
        unproved: set[str] = set()
        for each in subject.files:
            name = each.file.filename
            if exceptions.has(each):
                continue
            entry = files.get(name)
            fault = None
            if entry is not None:
                fault = fault_of(entry, project, policy, publishers, attested=attested)
            if entry is not None and fault is not None:
                details = entry.problem or entry.publisher
                faults[name] = f"{fault} ({details})" if details else fault
            if entry is None or fault is not None or not entry.publisher:
                unproved.add(name)
        return cls(faults, frozenset(unproved))

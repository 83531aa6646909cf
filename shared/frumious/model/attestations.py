"""Attestations (PEP 740): what is to be verified, what came of it, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from frumious.model.types import Count, ProjectName, Serial

MAX_TEXT: Final = 500  # characters
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Digest = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]  # sha256; empty: none
_Filename = Annotated[str, Meta(max_length=255)]


class Claim(Struct, frozen=True):
    """A file, and the provenance that is to prove who published it."""

    filename: str
    sha256: str
    provenance: str  # JSON


class Verdict(Struct, frozen=True):
    """What the verification of a claim found: a publisher, or a problem."""

    publisher: Text = ""
    problem: Text = ""

    @classmethod
    def refusing(cls, problem: str) -> Verdict:
        """Return the verdict on a claim that is not proved; `problem` may quote hostile text."""
        text = problem.encode(errors="replace").decode()[:MAX_TEXT]
        return cls(problem=text or "it is not valid")


class Request(Struct, frozen=True):
    """What a worker asks the verifier's function."""

    trust_root: str  # JSON
    claims: tuple[Claim, ...]


class Response(Struct, frozen=True):
    """What that function answers: a verdict for each claim, in order."""

    verdicts: tuple[Verdict, ...]


class KnownFile(Struct, frozen=True, omit_defaults=True):
    """What is known of a file's attestations."""

    sha256: _Digest  # of the file
    provenance: _Digest = ""  # of its provenance; empty: upstream has none
    publisher: Text = ""  # that was verified
    problem: Text = ""  # why its attestations are not valid
    late: bool = False  # the project had attestations before this file was first seen


class KnownAttestations(Struct, frozen=True):
    """What is known of a project's attestations: a state file of its own.

    `publishers` are those of all files that were verified at first, and stay: what is verified
    later is compared with them.
    """

    publishers: tuple[Text, ...] = ()
    files: Mapping[_Filename, KnownFile] = {}


class Fault(StrEnum):
    """What is wrong with a file's attestations."""

    MISSING = "it has no attestations, as no file of the project has"
    STOPPED = "it has no attestations, and earlier files of the project have"
    INVALID = "its attestations are not valid"
    PUBLISHER = "another publisher than the project's has published it"


class Unverified(Struct, frozen=True):
    """A project with faults, as the finalizer keeps it."""

    files: Count
    fault: Text  # of the first of them
    serial: Serial = 0


class UnverifiedProjects(Struct, frozen=True):
    """All projects with faults: one object for the mirror."""

    projects: Mapping[ProjectName, Unverified] = {}

"""What mirror.conf and the environment configure: one typed, validated value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frumious.config.choices import Backend, CompareMethod, SimpleFormat
from frumious.config.s3 import S3Config
from frumious.config.swift import SwiftConfig

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.requirements import Requirement


PYPI: Final = "https://pypi.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which projects and releases are wanted (bandersnatch's `[plugins]`).

    None: the filter is not enabled.
    """

    allowed_projects: tuple[Requirement, ...] | None = None
    allowed_releases: tuple[Requirement, ...] | None = None
    blocked_projects: tuple[Requirement, ...] | None = None
    blocked_releases: tuple[Requirement, ...] | None = None


@dataclass(frozen=True, slots=True)
class Removals:
    """How many projects one run may remove without being asked: the larger of the two counts."""

    share: float = 0.05  # of the mirror's projects
    number: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the configuration says. Times are seconds."""

    backend: Backend
    directory: str  # as the file has it, without a slash at its end
    bucket: str = ""
    prefix: str = ""  # of every key in the bucket; empty, or without slashes at its ends
    s3: S3Config = field(default_factory=S3Config)
    swift: SwiftConfig = field(default_factory=SwiftConfig)
    manage_permissions: bool = True  # of files and folders, whatever the umask
    master: str = PYPI
    allow_non_https: bool = False
    allowed_hosts: frozenset[str] = frozenset()  # that anything is fetched from
    download_mirror: str = ""  # files come from there first
    download_mirror_fallback: bool = True  # and then from upstream's URL
    proxy: str = field(default="", repr=False)  # to upstream; it may have a password
    no_proxy: str = ""  # hosts that are reached without it, as NO_PROXY has them
    timeout: float = 10  # to connect, and between two reads
    global_timeout: float = 1800  # for one whole transfer
    workers: int = 3  # files under way at the same time
    verifiers: int = 3  # projects that are verified at the same time
    stop_on_error: bool = False
    contact: str = ""  # how upstream's people reach the mirror's, in the User-Agent
    root_uri: str = ""  # makes file URLs absolute
    core_metadata: bool = True
    json: bool = False  # keep the legacy JSON as well
    release_files: bool = True  # whether the files are mirrored, not only the index
    hash_index: bool = False  # project pages lie below their first letter
    simple_format: SimpleFormat = SimpleFormat.ALL
    compare_method: CompareMethod = CompareMethod.HASH
    digest_name: str = "sha256"  # in the pages' URLs
    keep_index_versions: int = 0  # how many older pages of each project are kept
    cleanup: bool = False  # whether pages under names that are not normalised are removed
    allow_changed_files: bool = False  # whether a file may get another hash under its name
    diff_file: str = ""  # key of the list of what changed; empty: none
    diff_directory: str | None = None  # the key is of; None: the mirror's own
    diff_append_epoch: bool = False
    discovery: str = "auto"  # or changelog, index, names: how changes are found
    sweep_days: float = 30  # in which each project is asked for once; 0: never
    max_removals: Removals = Removals()
    run_deadline: int = 6 * 3600  # a run's unfinished projects are lagging after that
    log_config: Path | None = None  # for logging.config.fileConfig
    retry_pause: float = 60  # until a lagging project is tried again; doubled each time
    filters: Filters = Filters()
    warnings: tuple[str, ...] = ()

    @property
    def pages_fingerprint(self) -> str:
        """Identify what shapes every project page: pages of another fingerprint are made anew."""
        shaping = (
            self.root_uri,
            self.core_metadata,
            self.json,
            self.release_files,
            self.hash_index,
            self.simple_format.value,
            self.digest_name,
        )
        return hashlib.sha256(repr(shaping).encode()).hexdigest()[:16]

    def for_directory(self, directory: str) -> Config:
        """Return the same configuration for another directory of the same storage."""
        bucket, _, prefix = directory.removeprefix("/").partition("/")
        if self.backend is not Backend.S3:
            return replace(self, directory=directory)
        return replace(self, directory=directory, bucket=bucket, prefix=prefix)

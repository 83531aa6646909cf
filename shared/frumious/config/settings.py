"""The configuration: mirror.conf and the environment as one typed, validated value."""

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
    """Filters of projects and releases (bandersnatch's `[plugins]`); None: not enabled."""

    allowed_projects: tuple[Requirement, ...] | None = None
    allowed_releases: tuple[Requirement, ...] | None = None
    blocked_projects: tuple[Requirement, ...] | None = None
    blocked_releases: tuple[Requirement, ...] | None = None


@dataclass(frozen=True, slots=True)
class Removals:
    """How many projects one run may remove without confirmation: the larger of the two."""

    share: float = 0.05  # of the mirror's projects
    number: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration. Times are seconds."""

    backend: Backend
    directory: str  # without a trailing slash
    bucket: str = ""
    prefix: str = ""  # of every key in the bucket; without leading and trailing slashes
    s3: S3Config = field(default_factory=S3Config)
    swift: SwiftConfig = field(default_factory=SwiftConfig)
    manage_permissions: bool = True  # of files and folders, whatever the umask
    master: str = PYPI
    allow_non_https: bool = False
    allowed_hosts: frozenset[str] = frozenset()  # the only hosts that are contacted
    download_mirror: str = ""  # the first source of files
    download_mirror_fallback: bool = True  # whether upstream's URL is the second
    proxy: str = field(default="", repr=False)  # to upstream; may contain a password
    no_proxy: str = ""  # hosts that bypass it, in the format of NO_PROXY
    timeout: float = 10  # to connect, and between two reads
    global_timeout: float = 1800  # of a whole request or download
    workers: int = 3  # files that are transferred at the same time
    verifiers: int = 3  # projects that are verified at the same time
    stop_on_error: bool = False
    contact: str = ""  # of the mirror's operators, in the User-Agent
    root_uri: str = ""  # base of absolute file URLs
    core_metadata: bool = True
    json: bool = False  # whether the legacy JSON is mirrored
    release_files: bool = True  # whether the files are mirrored, not only the index
    hash_index: bool = False  # project pages are in folders by first letter
    simple_format: SimpleFormat = SimpleFormat.ALL
    compare_method: CompareMethod = CompareMethod.HASH
    digest_name: str = "sha256"  # in the pages' URLs
    keep_index_versions: int = 0  # how many older pages of each project are kept
    cleanup: bool = False  # whether pages under names that are not normalised are removed
    allow_changed_files: bool = False  # whether a filename may get other content
    diff_file: str = ""  # key of the list of changed files; empty: none
    diff_directory: str | None = None  # directory of that key; None: the mirror's own
    diff_append_epoch: bool = False
    discovery: str = "auto"  # or changelog, index, names: how changes are found
    sweep_days: float = 30  # in which each project is checked once; 0: never
    max_removals: Removals = Removals()
    run_deadline: int = 6 * 3600  # when a run's unfinished projects become lagging
    log_config: Path | None = None  # for logging.config.fileConfig
    retry_pause: float = 60  # until a lagging project is retried; doubled each time
    filters: Filters = Filters()
    warnings: tuple[str, ...] = ()

    @property
    def pages_fingerprint(self) -> str:
        """A hash of the options that all project pages depend on."""
        options = (
            self.root_uri,
            self.core_metadata,
            self.json,
            self.release_files,
            self.hash_index,
            self.simple_format.value,
            self.digest_name,
        )
        return hashlib.sha256(repr(options).encode()).hexdigest()[:16]

    def for_directory(self, directory: str) -> Config:
        """Return the configuration for another directory of the same storage."""
        bucket, _, prefix = directory.removeprefix("/").partition("/")
        if self.backend is not Backend.S3:
            return replace(self, directory=directory)
        return replace(self, directory=directory, bucket=bucket, prefix=prefix)

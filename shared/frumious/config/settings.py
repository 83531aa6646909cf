"""The configuration: mirror.conf and the environment as one typed, validated value."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import field
from msgspec.structs import replace

from frumious.config import values
from frumious.config.changes import public_key
from frumious.config.choices import Backend, CompareMethod, LossLimit, Removals, SimpleFormat
from frumious.config.options import Options, option, secret
from frumious.config.s3 import S3Config
from frumious.config.swift import SwiftConfig
from frumious.model.page_layout import Gzip, PageLayout
from frumious.model.root_shards import NUMBERS
from frumious.selection.private import PrivateProjects
from frumious.selection.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from frumious.config.advisories import AdvisoryPolicy
    from frumious.config.attestations import AttestationPolicy
    from frumious.config.changes import ChangesConfig
    from frumious.config.pythons import PythonBuilds

PYPI: Final = "https://pypi.org"
# Where the server in front of each storage finds compressed pages; Swift's staticweb cannot choose.
_GZIP: Final = {
    Backend.FILESYSTEM: Gzip.SUFFIX,
    Backend.S3: Gzip.PREFIX,
    Backend.SWIFT: Gzip.NONE,
}


class Config(Options, frozen=True, kw_only=True):
    """The configuration. Times are seconds."""

    backend: Backend
    directory: str  # without a trailing slash
    bucket: str = ""
    prefix: str = ""  # of every key in the bucket; without leading and trailing slashes
    s3: S3Config = S3Config()
    swift: SwiftConfig = SwiftConfig()
    # Of files and folders, whatever the umask.
    manage_permissions: bool = option(
        values.boolean, True, key="storage-filesystem-manage-permissions"
    )
    master: str = PYPI
    allow_non_https: bool = option(values.boolean, False)
    # Base URL -> Authorization header for the same scheme, host and port.
    logins: Mapping[str, str] = secret({})
    allowed_hosts: frozenset[values.Address] = frozenset()  # the only hosts that are contacted
    public_hosts: frozenset[str] = frozenset()  # those that must have public IP addresses
    download_mirror: str = ""  # the first source of files
    download_mirror_no_fallback: bool = option(values.boolean, False)  # to upstream's URL
    proxy: str = secret("")  # to upstream; may contain a password
    no_proxy: str = ""  # hosts that bypass it, in the format of NO_PROXY
    timeout: float = option(values.seconds, 10.0)  # to connect, and between two reads
    global_timeout: float = option(values.seconds, 1800.0)  # of a request or download
    # Bytes per second over three times `timeout`; a slower response is broken off.
    lowest_speed: int = option(values.whole_number(0), 1024)
    workers: int = option(values.whole_number(1, 10), 10)  # projects at a time
    downloads: int = option(values.whole_number(1, 200), 50)  # files at a time, of all projects
    verifiers: int = option(values.whole_number(1), 3)  # files that `verify` reads at a time
    stop_on_error: bool = option(values.boolean, False)
    contact: str = option(values.header_text, "")  # of the operators, in the User-Agent
    root_uri: str = ""  # base of absolute file URLs
    core_metadata: bool = option(values.boolean, True)
    json: bool = option(values.boolean, False)  # whether the legacy JSON is mirrored
    release_json: bool = option(values.boolean, False)  # and that of each release
    release_files: bool = option(values.boolean, True)  # or only the index
    hash_index: bool = option(values.boolean, False)  # pages in folders by first letter
    simple_format: SimpleFormat = option(values.choice(SimpleFormat), SimpleFormat.ALL)
    compress_pages: bool = option(values.boolean, True)  # compressed variants are stored
    # Into how many shards the root index is divided as well.
    root_index_shards: int = option(values.number_of(0, *NUMBERS), 0)
    compare_method: CompareMethod = option(values.choice(CompareMethod), CompareMethod.HASH)
    digest_name: str = option(values.digest_name, "sha256", key="digest_name")  # in the pages' URLs
    # How many older pages of each project are kept.
    keep_index_versions: int = option(values.whole_number(0), 0, key="keep_index_versions")
    # Whether pages under names that are not normalised are removed.
    cleanup: bool = option(values.boolean, False)
    # Whether a filename may get other content.
    allow_changed_files: bool = option(values.boolean, False)
    # Whether md5 or sha1 alone may verify a file.
    allow_weak_hashes: bool = option(values.boolean, False)
    diff_file: str = ""  # key of the list of changed files; empty: none
    diff_directory: str | None = None  # directory of that key; None: the mirror's own
    diff_append_epoch: bool = option(values.boolean, False)
    # How changes are found.
    discovery: str = option(values.one_of("auto", "changelog", "index", "names", "feed"), "auto")
    feed_key: bytes = option(public_key, b"")  # that signs the change feed of upstream; none: any
    sweep_days: float = option(values.days, 30.0)  # in which each project is checked once; 0: never
    max_removals: Removals = option(values.removals, Removals())
    max_losses: LossLimit = option(values.losses, LossLimit())
    # Until files that no page names are deleted; 0: at once.
    delete_after: float = option(values.delay, 3 * 24 * 3600.0)
    # When a run's unfinished projects become lagging.
    run_deadline: float = option(values.seconds, 6 * 3600.0)
    log_config: Path | None = option(values.path, None)  # for logging.config.fileConfig
    # Until a lagging project is retried; doubled each time.
    retry_pause: float = option(values.seconds, 60.0)
    # Of bundles: the file of a secret key, and public keys or their files.
    export_key: str = ""
    import_keys: tuple[str, ...] = ()
    max_mirror_size: int = 0  # bytes; 0: without a limit
    selection: Selection = Selection()  # the filters
    private: PrivateProjects = field(default_factory=PrivateProjects)
    advisories: AdvisoryPolicy | None = None  # None: the feed is not followed
    attestations: AttestationPolicy | None = None  # None: none are verified
    pythons: PythonBuilds | None = None  # None: builds of Python are not mirrored
    changes: ChangesConfig | None = None  # None: no change feed is published
    warnings: tuple[str, ...] = ()

    @property
    def page_layout(self) -> PageLayout:
        """Where pages are stored, and in which formats."""
        return PageLayout(
            self.hash_index,
            html=self.simple_format is not SimpleFormat.JSON,
            json=self.simple_format is not SimpleFormat.HTML,
            gzip=_GZIP[self.backend] if self.compress_pages else Gzip.NONE,
        )

    @property
    def master_fingerprint(self) -> str:
        """Identify the upstream index, whatever the scheme."""
        parts = urlsplit(self.master)
        return hashlib.sha256(f"{parts.netloc}{parts.path}".encode()).hexdigest()[:16]

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
            # Not part of the default's: mirrors without variants get them page by page.
            *(() if self.compress_pages else ("uncompressed",)),
            *(("release-json",) if self.release_json else ()),
        )
        return hashlib.sha256(repr(options).encode()).hexdigest()[:16]

    def for_directory(self, directory: str) -> Config:
        """Return the configuration for another directory of the same storage."""
        bucket, _, prefix = directory.removeprefix("/").partition("/")
        if self.backend is not Backend.S3:
            return replace(self, directory=directory)
        return replace(self, directory=directory, bucket=bucket, prefix=prefix)

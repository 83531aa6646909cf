"""mirror.conf and the environment become one typed, validated Config.

Knows bandersnatch's INI (its keys keep their meaning) and nothing of who uses the values.
All mistakes are reported at once.
"""

from __future__ import annotations

import configparser
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from frumious.config import values
from frumious.config.choices import Backend, CompareMethod, SimpleFormat
from frumious.config.proxy import read_proxy
from frumious.config.reader import Reader
from frumious.config.s3 import S3Config, read_s3
from frumious.config.swift import SwiftConfig, read_swift
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from packaging.requirements import Requirement

PYPI: Final = "https://pypi.org"
PYPI_FILES: Final = "files.pythonhosted.org"


class ConfigError(FrumiousError):
    """mirror.conf or the environment cannot be used; the text lists every mistake."""


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

    def below(self, directory: str) -> Config:
        """Return the same configuration for another directory of the same storage."""
        bucket, _, prefix = directory.removeprefix("/").partition("/")
        if self.backend is not Backend.S3:
            return replace(self, directory=directory)
        return replace(self, directory=directory, bucket=bucket, prefix=prefix)


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read mirror.conf; `environment` may override bucket, prefix and master, and name a proxy.

    Raises:
        ConfigError: the file cannot be read, or something in it cannot be meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} cannot be read: {error}"
        raise ConfigError(msg) from error
    return parse(text, environment, source=path.name)


def parse(text: str, environment: Mapping[str, str], source: str = "mirror.conf") -> Config:
    """Read the text of a mirror.conf.

    Raises:
        ConfigError: something in it cannot be meant; all mistakes are named.
    """
    ini = configparser.RawConfigParser(delimiters=("=",), allow_no_value=True)
    ini.optionxform = lambda optionstr: optionstr  # type: ignore[method-assign]
    try:
        ini.read_string(text, source)
    except configparser.MissingSectionHeaderError as error:
        msg = f"{source} is not an INI file: line {error.lineno} stands before any [section]"
        raise ConfigError(msg) from None  # its own text has the line, perhaps with a secret
    except configparser.Error as error:
        msg = f"{source} is not an INI file: {error}"
        raise ConfigError(msg) from error
    reader = Reader(ini)
    config = _config(reader, environment)
    if reader.mistakes:
        msg = f"{source} cannot be used:\n" + "\n".join(f"- {line}" for line in reader.mistakes)
        raise ConfigError(msg)
    return config


def _config(reader: Reader, environment: Mapping[str, str]) -> Config:
    if bucket := environment.get("FRUMIOUS_BUCKET", ""):
        directory = f"/{bucket}/{environment.get('FRUMIOUS_PREFIX', '')}"
        reader.override("mirror", "storage-backend", Backend.S3)
        reader.override("mirror", "directory", directory.rstrip("/"))
    if environment.get("FRUMIOUS_MASTER"):
        reader.override("mirror", "master", environment["FRUMIOUS_MASTER"])

    backend = reader.get("mirror", "storage-backend", values.choice(Backend), Backend.FILESYSTEM)
    unset: str | None = None
    said = reader.get("mirror", "directory", values.directory(backend), unset)
    if said is None and not reader.mistakes:
        meant = values.DIRECTORIES[backend]
        reader.mistakes.append(f"[mirror] directory is missing; it is {meant}")
    directory = said or ""
    in_bucket = directory.removeprefix("/") if backend is Backend.S3 else ""
    bucket, _, prefix = in_bucket.partition("/")
    swift = backend is Backend.SWIFT
    proxy, no_proxy = read_proxy(reader, environment)
    insecure = reader.get("mirror", "allow-non-https", values.boolean, default=False)
    master = reader.get("mirror", "master", values.address(insecure=insecure), PYPI)
    mirror = reader.get("mirror", "download-mirror", values.optional_address(insecure=insecure), "")
    hosts = reader.get("mirror", "allowed-hosts", values.hosts, frozenset[str]())
    release_files = reader.get("mirror", "release-files", values.boolean, default=True)
    root_uri = reader.get("mirror", "root_uri", values.optional_address(insecure=True), "")
    if not release_files and not root_uri and PYPI_FILES in _allowed_hosts(master, "", hosts):
        root_uri = f"https://{PYPI_FILES}"  # where the files are, as none of them are here
    none: tuple[str | None, str] = (None, "")
    diff_directory, diff_file = reader.get(
        "mirror", "diff-file", values.diff_file(backend, directory), none
    )
    filters = _filters(reader)
    for section, key in (("mirror", "verifiers"), ("s3", "verify_concurrency")):
        reader.no_effect_yet(section, key, "there is no verify yet")
    return Config(
        backend=backend,
        directory=directory,
        bucket=bucket,
        prefix=prefix,
        s3=read_s3(reader, environment),
        swift=read_swift(reader, environment if swift else {}, used=swift),
        manage_permissions=reader.get(
            "mirror", "storage-filesystem-manage-permissions", values.boolean, default=True
        ),
        master=master,
        allow_non_https=insecure,
        allowed_hosts=_allowed_hosts(master, mirror, hosts),
        download_mirror=mirror,
        download_mirror_fallback=not reader.get(
            "mirror", "download-mirror-no-fallback", values.boolean, default=False
        ),
        proxy=proxy,
        no_proxy=no_proxy,
        timeout=reader.get("mirror", "timeout", values.seconds, 10.0),
        global_timeout=reader.get("mirror", "global-timeout", values.seconds, 1800.0),
        workers=reader.get("mirror", "workers", values.workers, 3),
        verifiers=reader.get("mirror", "verifiers", values.whole_number(1), 3),
        stop_on_error=reader.get("mirror", "stop-on-error", values.boolean, default=False),
        contact=reader.get("mirror", "contact", values.header_text, ""),
        root_uri=root_uri,
        core_metadata=reader.get("mirror", "core-metadata", values.boolean, default=True),
        json=reader.get("mirror", "json", values.boolean, default=False),
        release_files=release_files,
        hash_index=reader.get("mirror", "hash-index", values.boolean, default=False),
        simple_format=reader.get(
            "mirror", "simple-format", values.choice(SimpleFormat), SimpleFormat.ALL
        ),
        compare_method=reader.get(
            "mirror", "compare-method", values.choice(CompareMethod), CompareMethod.HASH
        ),
        digest_name=reader.get("mirror", "digest_name", values.digest_name, "sha256"),
        keep_index_versions=reader.get("mirror", "keep_index_versions", values.whole_number(0), 0),
        cleanup=reader.get("mirror", "cleanup", values.boolean, default=False),
        allow_changed_files=reader.get(
            "mirror", "allow-changed-files", values.boolean, default=False
        ),
        diff_file=diff_file,
        diff_directory=diff_directory,
        diff_append_epoch=reader.get("mirror", "diff-append-epoch", values.boolean, default=False),
        discovery=_discovery(reader, filters),
        sweep_days=reader.get("mirror", "sweep-days", values.days, 30.0),
        max_removals=Removals(
            *reader.get("mirror", "max-removals", values.removals, (0.05, 10)),
        ),
        retry_pause=reader.get("mirror", "retry-pause", values.seconds, 60.0),
        run_deadline=int(reader.get("mirror", "run-deadline", values.seconds, 6 * 3600.0)),
        log_config=reader.get("mirror", "log-config", values.path, None),
        filters=filters,
        warnings=reader.warnings(),  # last: only now is it known which keys there are
    )


def _discovery(reader: Reader, filters: Filters) -> str:
    ways = values.one_of("auto", "changelog", "index", "names")
    discovery = reader.get("mirror", "discovery", ways, "auto")
    if discovery == "names" and not filters.allowed_projects:
        reader.mistakes.append(
            "[mirror] discovery = 'names': there are no names to ask for; enable allowlist_project"
            " and list them as [allowlist] packages"
        )
    return discovery


def _filters(reader: Reader) -> Filters:
    enabled = reader.get("plugins", "enabled", values.plugins, frozenset[str]())
    none: tuple[Requirement, ...] = ()
    allowed = reader.get("allowlist", "packages", values.requirements, none)
    blocked = reader.get("blocklist", "packages", values.requirements, none)
    return Filters(
        allowed_projects=allowed if "allowlist_project" in enabled else None,
        allowed_releases=allowed if "allowlist_release" in enabled else None,
        blocked_projects=blocked if "blocklist_project" in enabled else None,
        blocked_releases=blocked if "blocklist_release" in enabled else None,
    )


def _allowed_hosts(master: str, mirror: str, more: frozenset[str]) -> frozenset[str]:
    """Return the hosts that are configured; PyPI's files lie on one of their own."""
    hosts = {urlsplit(master).hostname, urlsplit(mirror).hostname, *more} - {None}
    if urlsplit(PYPI).hostname in hosts:
        hosts.add(PYPI_FILES)
    return frozenset(filter(None, hosts))

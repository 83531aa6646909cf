"""mirror.conf and the environment become one typed, validated Config.

Knows bandersnatch's INI (its keys keep their meaning) and nothing of who uses the values.
All mistakes are reported at once.
"""

from __future__ import annotations

import configparser
import difflib
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from frumious.config import values
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from packaging.requirements import Requirement

T = TypeVar("T")

PYPI: Final = "https://pypi.org"
PYPI_FILES: Final = "files.pythonhosted.org"

_ENVIRONMENT: Final = ("FRUMIOUS_BUCKET", "FRUMIOUS_PREFIX", "FRUMIOUS_MASTER")
_NOT_YET: Final = frozenset(
    {
        "cleanup",
        "compare-method",
        "digest_name",
        "hash-index",
        "keep_index_versions",
        "log-config",
        "proxy",
        "release-files",
        "simple-format",
        "stop-on-error",
        "storage-filesystem-manage-permissions",
        "verifiers",
    }
)
_TOLERATED: Final = frozenset({"api-method", "delete-packages", "keep-index-versions"})
_REFERENCE: Final = re.compile(r"\{\{([a-z0-9-]+)_([A-Za-z0-9_-]+)\}\}")


class ConfigError(FrumiousError):
    """mirror.conf or the environment cannot be used; the text lists every mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """How the bucket is reached; what is None is left to boto3's own chain."""

    region_name: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    endpoint_url: str | None = None

    def __repr__(self) -> str:
        """Show all but the secrets."""
        return f"S3Config(region_name={self.region_name!r}, endpoint_url={self.endpoint_url!r})"


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

    bucket: str
    prefix: str = ""  # of every key in the bucket; empty, or without slashes at its ends
    s3: S3Config = S3Config()
    master: str = PYPI
    allow_non_https: bool = False
    allowed_hosts: frozenset[str] = frozenset()  # that anything is fetched from
    download_mirror: str = ""  # files come from there first
    download_mirror_fallback: bool = True  # and then from upstream's URL
    timeout: float = 10  # to connect, and between two reads
    global_timeout: float = 1800  # for one whole transfer
    workers: int = 3  # files under way at the same time
    contact: str = ""  # how upstream's people reach the mirror's, in the User-Agent
    root_uri: str = ""  # makes file URLs absolute
    core_metadata: bool = True
    json: bool = False  # keep the legacy JSON as well
    allow_changed_files: bool = False  # whether a file may get another hash under its name
    diff_file: str = ""  # key of the list of what changed; empty: none
    diff_append_epoch: bool = False
    discovery: str = "auto"  # or changelog, index, names: how changes are found
    sweep_days: float = 30  # in which each project is asked for once; 0: never
    max_removals: Removals = Removals()
    run_deadline: int = 6 * 3600  # a run's unfinished projects are lagging after that
    retry_pause: float = 60  # until a lagging project is tried again; doubled each time
    filters: Filters = Filters()
    warnings: tuple[str, ...] = ()

    @property
    def pages_fingerprint(self) -> str:
        """Identify what shapes every project page: pages of another fingerprint are made anew."""
        shaping = (self.root_uri, self.core_metadata, self.json)
        return hashlib.sha256(repr(shaping).encode()).hexdigest()[:16]


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read mirror.conf; `environment` may override bucket, prefix and master.

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
    except configparser.Error as error:
        msg = f"{source} is not an INI file: {error}"
        raise ConfigError(msg) from error
    reader = _Reader(ini)
    config = _config(reader, {name: environment.get(name, "") for name in _ENVIRONMENT})
    if reader.mistakes:
        msg = f"{source} cannot be used:\n" + "\n".join(f"- {line}" for line in reader.mistakes)
        raise ConfigError(msg)
    return config


class _Reader:
    """Reads one option at a time and remembers every mistake and every key that was asked for."""

    def __init__(self, ini: configparser.RawConfigParser) -> None:
        self.mistakes: list[str] = []
        self._ini = ini
        self._asked: dict[str, set[str]] = {}

    def get(self, section: str, key: str, read: Callable[[str], T], default: T) -> T:
        """Read an option; `read` raises ValueError with what is allowed."""
        self._asked.setdefault(section, set()).add(key)
        text = self._ini.get(section, key, fallback=None)
        if text is None:
            return default
        try:
            return read(self._resolve(text).strip())
        except ValueError as error:
            self.mistakes.append(f"[{section}] {key} = {text.strip()!r:.120}: {error}")
            return default

    def override(self, section: str, key: str, value: str) -> None:
        """Let the environment's word stand before the file's."""
        if not self._ini.has_section(section):
            self._ini.add_section(section)
        self._ini.set(section, key, value)

    def warnings(self) -> tuple[str, ...]:
        """Name the options that have no effect, with the nearest known key."""
        found = []
        for section in self._ini.sections():
            known = self._asked.get(section)
            if known is None:
                found.append(f"[{section}] is not known and has no effect")
                continue
            for key in self._ini.options(section):
                if key in known or (section == "mirror" and key in _TOLERATED):
                    continue
                if section == "mirror" and key in _NOT_YET:
                    found.append(f"[{section}] {key} has no effect yet")
                    continue
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; do you mean {near[0]!r}?" if near else ""
                found.append(f"[{section}] {key} is not known and has no effect{hint}")
        return tuple(found)

    def _resolve(self, text: str) -> str:
        """Replace `{{section_option}}` by that option's value."""

        def value(reference: re.Match[str]) -> str:
            said = self._ini.get(reference[1], reference[2], fallback=None)
            if said is None:
                msg = f"{reference[0]} refers to an option that is not there"
                raise ValueError(msg)
            return said.strip()

        return _REFERENCE.sub(value, text)


def _config(reader: _Reader, environment: Mapping[str, str]) -> Config:
    if environment["FRUMIOUS_BUCKET"]:
        directory = f"/{environment['FRUMIOUS_BUCKET']}/{environment['FRUMIOUS_PREFIX']}"
        reader.override("mirror", "directory", directory.rstrip("/"))
    if environment["FRUMIOUS_MASTER"]:
        reader.override("mirror", "master", environment["FRUMIOUS_MASTER"])

    directory = reader.get("mirror", "directory", values.directory, "")
    if not directory and not reader.mistakes:
        reader.mistakes.append("[mirror] directory is missing; it is /bucket or /bucket/prefix")
    bucket, _, prefix = directory.partition("/")
    reader.get("mirror", "storage-backend", values.one_of("s3"), "s3")
    insecure = reader.get("mirror", "allow-non-https", values.boolean, default=False)
    master = reader.get("mirror", "master", values.address(insecure=insecure), PYPI)
    mirror = reader.get("mirror", "download-mirror", values.optional_address(insecure=insecure), "")
    hosts = reader.get("mirror", "allowed-hosts", values.hosts, frozenset[str]())
    filters = _filters(reader)
    return Config(
        bucket=bucket,
        prefix=prefix,
        s3=S3Config(
            region_name=reader.get("s3", "region_name", values.text_or_none, None),
            aws_access_key_id=reader.get("s3", "aws_access_key_id", values.text_or_none, None),
            aws_secret_access_key=reader.get(
                "s3", "aws_secret_access_key", values.text_or_none, None
            ),
            endpoint_url=reader.get("s3", "endpoint_url", values.text_or_none, None),
        ),
        master=master,
        allow_non_https=insecure,
        allowed_hosts=_allowed_hosts(master, mirror, hosts),
        download_mirror=mirror,
        download_mirror_fallback=not reader.get(
            "mirror", "download-mirror-no-fallback", values.boolean, default=False
        ),
        timeout=reader.get("mirror", "timeout", values.seconds, 10.0),
        global_timeout=reader.get("mirror", "global-timeout", values.seconds, 1800.0),
        workers=reader.get("mirror", "workers", values.workers, 3),
        contact=reader.get("mirror", "contact", values.header_text, ""),
        root_uri=reader.get("mirror", "root_uri", values.optional_address(insecure=True), ""),
        core_metadata=reader.get("mirror", "core-metadata", values.boolean, default=True),
        json=reader.get("mirror", "json", values.boolean, default=False),
        allow_changed_files=reader.get(
            "mirror", "allow-changed-files", values.boolean, default=False
        ),
        diff_file=reader.get("mirror", "diff-file", values.below(directory), ""),
        diff_append_epoch=reader.get("mirror", "diff-append-epoch", values.boolean, default=False),
        discovery=_discovery(reader, filters),
        sweep_days=reader.get("mirror", "sweep-days", values.days, 30.0),
        max_removals=Removals(
            *reader.get("mirror", "max-removals", values.removals, (0.05, 10)),
        ),
        retry_pause=reader.get("mirror", "retry-pause", values.seconds, 60.0),
        run_deadline=int(reader.get("mirror", "run-deadline", values.seconds, 6 * 3600.0)),
        filters=filters,
        warnings=reader.warnings(),  # last: only now is it known which keys there are
    )


def _discovery(reader: _Reader, filters: Filters) -> str:
    ways = values.one_of("auto", "changelog", "index", "names")
    discovery = reader.get("mirror", "discovery", ways, "auto")
    if discovery == "names" and not filters.allowed_projects:
        reader.mistakes.append(
            "[mirror] discovery = 'names': there are no names to ask for; enable allowlist_project"
            " and list them as [allowlist] packages"
        )
    return discovery


def _filters(reader: _Reader) -> Filters:
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

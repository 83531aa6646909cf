"""Parses mirror.conf and the environment into one validated Config.

The format is bandersnatch's INI, whose keys keep their meaning. Reports all mistakes at once.
"""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.config import filters, values
from frumious.config.advisories import read_advisories
from frumious.config.attestations import read_attestations
from frumious.config.changes import read_changes
from frumious.config.choices import Backend
from frumious.config.filter_checks import check_closure, check_filters, lists_projects
from frumious.config.proxy import read_proxy
from frumious.config.pythons import read_pythons
from frumious.config.reader import Reader, shown_key
from frumious.config.s3 import read_s3
from frumious.config.settings import PYPI, Config
from frumious.config.swift import read_swift
from frumious.errors import FrumiousError
from frumious.selection.private import PrivateProjects
from frumious.selection.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


PYPI_FILES: Final = "https://files.pythonhosted.org"
_OVERRIDES: Final = {
    "FRUMIOUS_MASTER": "master",
    "FRUMIOUS_DISCOVERY": "discovery",
    "FRUMIOUS_FEED_KEY": "feed-key",
}
_PYPI: Final = frozenset(filter(None, map(values.address, (PYPI, PYPI_FILES))))


class ConfigError(FrumiousError):
    """mirror.conf or the environment is invalid; the text lists every mistake."""


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Load mirror.conf; `environment` may override bucket, prefix and master, and set a proxy.

    Raises:
        ConfigError: the file cannot be read, or is invalid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        msg = f"{str(path)!r} does not exist; 'frumious init' writes one, and -c names another"
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"cannot read {str(path)!r}: byte {error.start} is not UTF-8"
        raise ConfigError(msg) from error
    return parse(text, environment, source=path.name)


def parse(text: str, environment: Mapping[str, str], source: str = "mirror.conf") -> Config:
    """Parse the text of a mirror.conf.

    Raises:
        ConfigError: it is invalid; the text lists every mistake.
    """
    ini = configparser.RawConfigParser(delimiters=("=",), allow_no_value=True)
    ini.optionxform = lambda optionstr: optionstr  # type: ignore[method-assign]
    try:
        ini.read_string(text, source)
    except configparser.MissingSectionHeaderError as error:
        unclosed = error.line.lstrip().startswith("[")
        problem = "is a [section] without its ']'" if unclosed else "is before any [section]"
        msg = f"{source} is not an INI file: line {error.lineno} {problem}"
        raise ConfigError(msg) from None  # its own text quotes the line, perhaps with a secret
    except (configparser.DuplicateSectionError, configparser.DuplicateOptionError) as error:
        name = f"[{error.section}] {shown_key(getattr(error, 'option', ''))}".strip()
        msg = f"{source} is not an INI file: {name} is a second time in line {error.lineno}"
        raise ConfigError(msg) from None
    except configparser.ParsingError as error:
        numbers = [number for number, _ in getattr(error, "errors", ())]
        lines = ", ".join(map(str, numbers or [getattr(error, "lineno", "")]))
        msg = f"{source} is not an INI file: line {lines} is not an option"
        raise ConfigError(msg) from None
    except AttributeError:  # of Python before 3.13
        msg = f"{source} is not an INI file: an indented line follows a key without a value"
        raise ConfigError(msg) from None
    reader = Reader(ini)
    config = _config(reader, environment)
    if reader.mistakes:
        problems = (*reader.mistakes, *config.warnings)  # an unknown key may be the cause
        msg = f"{source} is invalid:\n" + "\n".join(f"- {line}" for line in problems)
        raise ConfigError(msg)
    return config


def _config(reader: Reader, environment: Mapping[str, str]) -> Config:
    if bucket := environment.get("FRUMIOUS_BUCKET", ""):
        directory = f"/{bucket}/{environment.get('FRUMIOUS_PREFIX', '')}"
        reader.override("mirror", "storage-backend", Backend.S3)
        reader.override("mirror", "directory", directory.rstrip("/"))
    for variable, key in _OVERRIDES.items():
        if environment.get(variable):
            reader.override("mirror", key, environment[variable])

    backend = reader.get("mirror", "storage-backend", values.choice(Backend), Backend.FILESYSTEM)
    unset: str | None = None
    configured = reader.get("mirror", "directory", values.directory(backend), unset)
    if configured is None and not reader.mistakes:
        expected = values.DIRECTORIES[backend]
        reader.mistakes.append(f"[mirror] directory is missing; set it to {expected}")
    directory = configured or ""
    bucket_path = directory.removeprefix("/") if backend is Backend.S3 else ""
    bucket, _, prefix = bucket_path.partition("/")
    swift = backend is Backend.SWIFT
    proxy, no_proxy = read_proxy(reader, environment)
    options = reader.options("mirror", Config, environment, hyphens=True)
    insecure: bool = options["allow_non_https"]
    index = values.index_url(PYPI, insecure=insecure)
    master, master_login = values.split_login(reader.get("mirror", "master", index, PYPI))
    url = values.optional_url(insecure=insecure, login=True)
    mirror, mirror_login = values.split_login(reader.get("mirror", "download-mirror", url, ""))
    logins = {mirror: mirror_login, master: master_login}
    hosts = reader.get("mirror", "allowed-hosts", values.hosts, frozenset[values.Address]())
    allowed_hosts = _allowed_hosts(master, mirror, hosts)
    root_uri = reader.get("mirror", "root_uri", values.optional_url(insecure=True), "")
    if not (options["release_files"] or root_uri) and values.address(PYPI_FILES) in _allowed_hosts(
        master, "", hosts
    ):
        root_uri = PYPI_FILES  # the mirror itself has no files
    none: tuple[str | None, str] = (None, "")
    diff_directory, diff_file = reader.get(
        "mirror", "diff-file", values.diff_file(backend, directory), none
    )
    private = PrivateProjects.read(reader, backend, directory)
    selection = replace(Selection.read(reader), private=private)
    check_filters(reader)
    if selection.closure is not None:
        check_closure(reader, selection, options)
    if private.directory and not options["release_files"]:
        reader.add_mistake(
            "private", "directory", "private files need [mirror] release-files = true"
        )
    if options["release_json"] and not options["json"]:
        reader.add_mistake("mirror", "release-json", "needs json = true")
    advisories = read_advisories(reader, insecure=insecure)
    changes = read_changes(reader, environment)
    if options["discovery"] == "names" and not lists_projects(selection):
        reader.mistakes.append(
            "[mirror] discovery = 'names': no names are configured; enable allowlist_project"
            " and list the projects as [allowlist] packages"
        )
    reader.warn_unused("s3", "verify_concurrency", "verify lists the bucket")
    return Config(
        **options,
        backend=backend,
        directory=directory,
        bucket=bucket,
        prefix=prefix,
        s3=read_s3(reader, environment),
        swift=read_swift(reader, environment if swift else {}, used=swift),
        master=master,
        logins={url: login for url, login in logins.items() if login is not None},
        allowed_hosts=allowed_hosts,
        public_hosts=frozenset(host for host, _ in (allowed_hosts & _PYPI) - hosts),
        download_mirror=mirror,
        proxy=proxy,
        no_proxy=no_proxy,
        root_uri=root_uri,
        diff_file=diff_file,
        diff_directory=diff_directory,
        export_key=reader.get("export", "secret-key", str, ""),
        import_keys=tuple(reader.get("import", "public-key", str.splitlines, list[str]())),
        max_mirror_size=reader.get("budget", "max-mirror-size", filters.size, 0),
        selection=selection,
        private=private,
        advisories=advisories,
        attestations=read_attestations(reader),
        pythons=read_pythons(reader, environment),
        changes=changes,
        warnings=reader.warnings(),  # last: after all known keys were read
    )


def _allowed_hosts(
    master: str, mirror: str, more: frozenset[values.Address]
) -> frozenset[values.Address]:
    """Return the configured hosts, and the host of PyPI's files if PyPI is one of them."""
    hosts = {*filter(None, map(values.address, (master, mirror))), *more}
    if values.address(PYPI) in hosts:  # its pages link to its file host
        hosts.update(_PYPI)
    return frozenset(hosts)

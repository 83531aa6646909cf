"""The [swift] section and OpenStack's environment become one SwiftConfig.

An option of the file stands before the variable of the environment that means the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from frumious.config import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.config.reader import Reader

_SECTION: Final = "swift"
_CONTAINER: Final = "bandersnatch"
_DOMAIN: Final = "default"
_RETRIES: Final = 3
_AUTH_VERSIONS: Final = {
    "1": "1",
    "1.0": "1",
    "v1": "1",
    "v1.0": "1",
    "3": "3",
    "3.0": "3",
    "v3": "3",
}
_LONGEST_CONTAINER: Final = 256 - len("_segments")  # bytes; others are named after it
_address: Final = values.address(insecure=True)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwiftConfig:
    """How the container is reached; an empty text is one that nobody gave."""

    default_container: str = _CONTAINER
    auth_version: str = "3"  # 1: tempauth and the like; 3: Keystone
    auth_url: str = ""
    username: str = ""
    user_id: str = ""
    password: str = field(default="", repr=False)
    user_domain_name: str = _DOMAIN
    project_name: str = ""
    project_id: str = ""
    project_domain_name: str = _DOMAIN
    application_credential_id: str = ""
    application_credential_name: str = ""
    application_credential_secret: str = field(default="", repr=False)
    cloud: str = ""  # of clouds.yaml, which then says all of the above
    region: str = ""
    object_storage_url: str = ""  # instead of the one that the catalogue has
    cacert: str = ""  # file with the authorities that sign the cluster's certificates
    insecure: bool = False  # whether anybody's certificate will do
    retries: int = _RETRIES  # of a request that the cluster did not answer
    segment_size: int | None = None  # bytes, above which files are stored in segments
    publish: bool = False  # whether everybody may read the mirror


def read_swift(reader: Reader, environment: Mapping[str, str], *, used: bool = True) -> SwiftConfig:
    """Read [swift]; what it does not say is taken from OpenStack's variables.

    What is missing is a mistake only where the section is `used`: where Swift is the storage.
    """
    read = _Texts(reader, environment)
    config = SwiftConfig(
        default_container=reader.get(_SECTION, "default_container", _container, _CONTAINER),
        auth_url=read("auth_url", "OS_AUTH_URL", "OS_AUTHENTICATION_URL", of=_address),
        username=read("username", "OS_USERNAME"),
        user_id=read("user_id", "OS_USER_ID"),
        password=read("password", "OS_PASSWORD"),
        user_domain_name=read("user_domain_name", "OS_USER_DOMAIN_NAME") or _DOMAIN,
        project_name=read("project_name", "OS_PROJECT_NAME", "OS_TENANT_NAME"),
        project_id=read("project_id", "OS_PROJECT_ID"),
        project_domain_name=read("project_domain_name", "OS_PROJECT_DOMAIN_NAME") or _DOMAIN,
        application_credential_id=read("application_credential_id", "OS_APPLICATION_CREDENTIAL_ID"),
        application_credential_name=read(
            "application_credential_name", "OS_APPLICATION_CREDENTIAL_NAME"
        ),
        application_credential_secret=read(
            "application_credential_secret", "OS_APPLICATION_CREDENTIAL_SECRET"
        ),
        region=read("region", "OS_REGION_NAME"),
        object_storage_url=read("object_storage_url", "OS_STORAGE_URL", of=_address),
        auth_version=read(
            "auth_version", "ST_AUTH_VERSION", "OS_IDENTITY_API_VERSION", of=_auth_version
        ),
        # A login in the file is meant before the cloud of whoever starts the mirror.
        cloud=read("cloud", *(() if read.has_login() else ("OS_CLOUD",))),
        cacert=read("cacert", "OS_CACERT"),
        insecure=reader.get(_SECTION, "insecure", values.boolean, default=False),
        retries=reader.get(_SECTION, "retries", values.whole_number(0), _RETRIES),
        segment_size=reader.get(_SECTION, "segment_size", _size, None),
        publish=reader.get(_SECTION, "publish", values.boolean, default=False),
    )
    if not config.auth_version:
        config = replace(config, auth_version=_auth_version_of(config.auth_url))
    if used:
        reader.mistakes.extend(f"[{_SECTION}] {mistake}" for mistake in _missing(config))
    return config


class _Texts:
    """Reads texts that the file or else a variable of the environment says."""

    def __init__(self, reader: Reader, environment: Mapping[str, str]) -> None:
        self._reader = reader
        self._environment = environment
        self._in_file: set[str] = set()

    def __call__(self, key: str, *variables: str, of: Callable[[str], str] = str) -> str:
        if said := self._reader.get(_SECTION, key, lambda text: of(text) if text else "", ""):
            self._in_file.add(key)
            return said
        for variable in variables:
            if said := self._environment.get(variable, ""):
                try:
                    return of(said)
                except ValueError as error:
                    self._reader.mistakes.append(f"{variable} = {said!r:.120}: {error}")
        return ""

    def has_login(self) -> bool:
        """Say whether the file itself names somebody to log in, of what has been read."""
        return not self._in_file.isdisjoint(
            {"auth_url", "password", "application_credential_secret"}
        )


def _missing(config: SwiftConfig) -> list[str]:
    """Say what is missing for the login, each as a sentence."""
    found: list[str] = []
    if config.cloud:
        return found
    if not config.auth_url:
        found.append("auth_url (or OS_AUTH_URL) is missing, and no cloud of clouds.yaml is named")
    named = bool(config.username or config.user_id)
    if config.auth_version == "1":
        if not (config.username and config.password):
            found.append("username and password are needed with auth_version = 1")
    elif config.application_credential_id or config.application_credential_name:
        if not config.application_credential_secret:
            found.append("application_credential_secret is missing")
        if not (config.application_credential_id or named):
            found.append("application_credential_name needs the username whose it is")
    else:
        if not (named and config.password):
            found.append("username and password, or an application credential, are missing")
        if not (config.project_name or config.project_id):
            found.append("project_name or project_id is missing")
    return found


def _auth_version(text: str) -> str:
    try:
        return _AUTH_VERSIONS[text]
    except KeyError:
        msg = "allowed are 1 (tempauth) and 3 (Keystone)"
        raise ValueError(msg) from None


def _auth_version_of(auth_url: str) -> str:
    """Say which kind of login an address is for: `.../auth/v1.0` is tempauth's."""
    _, _, last = urlsplit(auth_url).path.rpartition("/")
    return "1" if _AUTH_VERSIONS.get(last) == "1" else "3"


def _container(text: str) -> str:
    if text and "/" not in text and len(text.encode()) <= _LONGEST_CONTAINER:
        return text
    msg = f"allowed is a name without slashes, of at most {_LONGEST_CONTAINER} bytes"
    raise ValueError(msg)


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    if number.isdecimal() and int(number) and unit.upper() in _UNITS:
        return int(number) * _UNITS[unit.upper()]
    msg = "allowed is a number of bytes above 0, or one with K, M or G behind it"
    raise ValueError(msg)

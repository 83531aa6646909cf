"""Access to the container: the section [swift] and OpenStack's environment variables.

An option of the file overrides the environment variable.
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
_MAX_CONTAINER_BYTES: Final = 256 - len("_segments")  # the suffix of a second container
_url: Final = values.url(insecure=True)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwiftConfig:
    """Access to the container; an empty text is an option that is not set."""

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
    cloud: str = ""  # of clouds.yaml, which replaces all of the above
    region: str = ""
    object_storage_url: str = ""  # instead of the catalogue's
    cacert: str = ""  # path of the CA bundle
    insecure: bool = False  # whether certificates are not verified
    retries: int = _RETRIES  # of a request without response
    segment_size: int | None = None  # bytes; larger files are stored in segments
    publish: bool = False  # whether the container is public


def read_swift(reader: Reader, environment: Mapping[str, str], *, used: bool = True) -> SwiftConfig:
    """Parse [swift], with OpenStack's environment variables as defaults.

    Missing options are mistakes only if the section is `used`: if Swift is the storage.
    """
    read = _Texts(reader, environment)
    config = SwiftConfig(
        default_container=reader.get(_SECTION, "default_container", _container, _CONTAINER),
        auth_url=read("auth_url", "OS_AUTH_URL", "OS_AUTHENTICATION_URL", parse=_url),
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
        object_storage_url=read("object_storage_url", "OS_STORAGE_URL", parse=_url),
        auth_version=read(
            "auth_version", "ST_AUTH_VERSION", "OS_IDENTITY_API_VERSION", parse=_auth_version
        ),
        # A login in the file overrides the cloud in the environment.
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
        reader.mistakes.extend(f"[{_SECTION}] {mistake}" for mistake in _login_mistakes(config))
    return config


class _Texts:
    """Reads options from the file or else from environment variables."""

    def __init__(self, reader: Reader, environment: Mapping[str, str]) -> None:
        self._reader = reader
        self._environment = environment
        self._in_file: set[str] = set()

    def __call__(self, key: str, *variables: str, parse: Callable[[str], str] = str) -> str:
        if value := self._reader.get(_SECTION, key, lambda text: parse(text) if text else "", ""):
            self._in_file.add(key)
            return value
        for variable in variables:
            if text := self._environment.get(variable, ""):
                try:
                    return parse(text)
                except ValueError as error:
                    self._reader.mistakes.append(f"{variable} = {text!r:.120}: {error}")
        return ""

    def has_login(self) -> bool:
        """Return whether one of the options read so far is a login in the file."""
        return not self._in_file.isdisjoint(
            {"auth_url", "password", "application_credential_secret"}
        )


def _login_mistakes(config: SwiftConfig) -> list[str]:
    """Return a message for each missing option of the login."""
    mistakes: list[str] = []
    if config.cloud:
        return mistakes
    if not config.auth_url:
        mistakes.append("auth_url (or OS_AUTH_URL) is missing, and so is a cloud of clouds.yaml")
    has_user = bool(config.username or config.user_id)
    if config.auth_version == "1":
        if not (config.username and config.password):
            mistakes.append("auth_version = 1 requires username and password")
    elif config.application_credential_id or config.application_credential_name:
        if not config.application_credential_secret:
            mistakes.append("application_credential_secret is missing")
        if not (config.application_credential_id or has_user):
            mistakes.append("application_credential_name requires the username of its owner")
    else:
        if not (has_user and config.password):
            mistakes.append("username and password, or an application credential, are missing")
        if not (config.project_name or config.project_id):
            mistakes.append("project_name or project_id is missing")
    return mistakes


def _auth_version(text: str) -> str:
    try:
        return _AUTH_VERSIONS[text]
    except KeyError:
        msg = "must be 1 (tempauth) or 3 (Keystone)"
        raise ValueError(msg) from None


def _auth_version_of(auth_url: str) -> str:
    """Return the version of a login URL: `.../auth/v1.0` is tempauth's."""
    _, _, last = urlsplit(auth_url).path.rpartition("/")
    return "1" if _AUTH_VERSIONS.get(last) == "1" else "3"


def _container(text: str) -> str:
    if text and "/" not in text and len(text.encode()) <= _MAX_CONTAINER_BYTES:
        return text
    msg = f"must be a name without slashes of at most {_MAX_CONTAINER_BYTES} bytes"
    raise ValueError(msg)


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    if number.isdecimal() and int(number) and unit.upper() in _UNITS:
        return int(number) * _UNITS[unit.upper()]
    msg = "must be a number of bytes above 0, with an optional unit K, M or G"
    raise ValueError(msg)

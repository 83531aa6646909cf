"""Access to the container: the section [swift] and OpenStack's environment variables.

An option of the file overrides the environment variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from frumious.config import values
from frumious.config.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.config.reader import Reader

# A login in the file overrides the cloud in the environment.
_LOGIN: Final = ("auth_url", "password", "application_credential_secret")
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
_url: Final = values.optional_url(insecure=True)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def _auth_version(text: str) -> str:
    try:
        return _AUTH_VERSIONS[text] if text else ""
    except KeyError:
        msg = "must be 1 (tempauth) or 3 (Keystone)"
        raise ValueError(msg) from None


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


class SwiftConfig(Options, frozen=True, kw_only=True):
    """Access to the container; an empty text is an option that is not set."""

    default_container: str = option(_container, "bandersnatch")
    # 1: tempauth and the like; 3: Keystone.
    auth_version: str = option(
        _auth_version, "", variables=("ST_AUTH_VERSION", "OS_IDENTITY_API_VERSION")
    )
    auth_url: str = option(_url, "", variables=("OS_AUTH_URL", "OS_AUTHENTICATION_URL"))
    username: str = option(str, "", variables=("OS_USERNAME",))
    user_id: str = option(str, "", variables=("OS_USER_ID",))
    password: str = option(str, "", variables=("OS_PASSWORD",), secret=True)
    user_domain_name: str = option(str, "default", variables=("OS_USER_DOMAIN_NAME",))
    project_name: str = option(str, "", variables=("OS_PROJECT_NAME", "OS_TENANT_NAME"))
    project_id: str = option(str, "", variables=("OS_PROJECT_ID",))
    project_domain_name: str = option(str, "default", variables=("OS_PROJECT_DOMAIN_NAME",))
    application_credential_id: str = option(str, "", variables=("OS_APPLICATION_CREDENTIAL_ID",))
    application_credential_name: str = option(
        str, "", variables=("OS_APPLICATION_CREDENTIAL_NAME",)
    )
    application_credential_secret: str = option(
        str, "", variables=("OS_APPLICATION_CREDENTIAL_SECRET",), secret=True
    )
    cloud: str = option(str, "")  # of clouds.yaml, which replaces all of the above
    region: str = option(str, "", variables=("OS_REGION_NAME",))
    # Instead of the catalogue's.
    object_storage_url: str = option(_url, "", variables=("OS_STORAGE_URL",))
    cacert: str = option(str, "", variables=("OS_CACERT",))  # path of the CA bundle
    insecure: bool = option(values.boolean, False)  # whether certificates are not verified
    retries: int = option(values.whole_number(0), 3)  # of a request without response
    segment_size: int | None = option(_size, None)  # bytes; larger files are stored in segments
    publish: bool = option(values.boolean, False)  # whether the container is public


def read_swift(reader: Reader, environment: Mapping[str, str], *, used: bool = True) -> SwiftConfig:
    """Parse [swift], with OpenStack's environment variables as defaults.

    Missing options are mistakes only if the section is `used`: if Swift is the storage.
    """
    config = SwiftConfig(**reader.options("swift", SwiftConfig, environment))
    if not config.auth_version:
        config = replace(config, auth_version=_auth_version_of(config.auth_url))
    if not config.cloud and not any(reader.has("swift", key) for key in _LOGIN):
        config = replace(config, cloud=environment.get("OS_CLOUD", ""))
    if used:
        reader.mistakes.extend(f"[swift] {mistake}" for mistake in _login_mistakes(config))
    return config


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


def _auth_version_of(auth_url: str) -> str:
    """Return the version of a login URL: `.../auth/v1.0` is tempauth's."""
    _, _, last = urlsplit(auth_url).path.rpartition("/")
    return "1" if _AUTH_VERSIONS.get(last) == "1" else "3"

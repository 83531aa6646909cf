"""The [swift] section and OpenStack's environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.config.loading import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.config.swift import SwiftConfig

MIRROR = "[mirror]\ndirectory = /prefix\nstorage-backend = swift\n"
LOGIN = "auth_url = https://keystone.example\nusername = me\npassword = pass\nproject_name = pypi\n"


def read(options: str, environment: Mapping[str, str] | None = None) -> SwiftConfig:
    return loading.parse(f"{MIRROR}[swift]\n{options}", environment or {}).swift


def mistakes(options: str, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        read(options, environment)
    return str(error.value)


def test_the_defaults_are_bandersnatch_s() -> None:
    swift = read(LOGIN)
    assert swift.default_container == "bandersnatch"
    assert (swift.user_domain_name, swift.project_domain_name) == ("default", "default")
    assert swift.auth_version == "3"
    assert not swift.publish
    assert swift.segment_size is None


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("OS_USERNAME", "username"),
        ("OS_USER_ID", "user_id"),
        ("OS_PASSWORD", "password"),
        ("OS_AUTH_URL", "auth_url"),
        ("OS_AUTHENTICATION_URL", "auth_url"),
        ("OS_PROJECT_NAME", "project_name"),
        ("OS_TENANT_NAME", "project_name"),
        ("OS_PROJECT_ID", "project_id"),
        ("OS_REGION_NAME", "region"),
        ("OS_STORAGE_URL", "object_storage_url"),
        ("OS_USER_DOMAIN_NAME", "user_domain_name"),
        ("OS_PROJECT_DOMAIN_NAME", "project_domain_name"),
        ("OS_APPLICATION_CREDENTIAL_ID", "application_credential_id"),
        ("OS_APPLICATION_CREDENTIAL_NAME", "application_credential_name"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "application_credential_secret"),
    ],
)
def test_a_variable_says_what_the_file_does_not(variable: str, field: str) -> None:
    theirs = "https://theirs.example" if field.endswith("url") else "theirs"
    configured = theirs.replace("theirs", "configured")
    rest = "".join(f"{line}\n" for line in LOGIN.splitlines() if line.partition(" ")[0] != field)
    rest += "application_credential_secret = s\n" if field.startswith("application") else ""
    rest = rest.replace(f"{field} = s\n", "")

    assert getattr(read(rest, {variable: theirs}), field) == theirs
    assert getattr(read(f"{rest}{field} = {configured}\n", {variable: theirs}), field) == configured


def test_the_kind_of_login_is_said_or_seen_from_its_address() -> None:
    v1 = "auth_url = https://swift.example/auth/v1.0\nusername = test:tester\npassword = testing\n"
    assert read(v1).auth_version == "1"
    assert read(LOGIN, {"OS_IDENTITY_API_VERSION": "3"}).auth_version == "3"
    assert read(v1, {"ST_AUTH_VERSION": "1.0"}).auth_version == "1"
    assert "must be 1 (tempauth) or 3 (Keystone)" in mistakes(f"{LOGIN}auth_version = 2.0\n")
    message = mistakes(LOGIN, {"OS_IDENTITY_API_VERSION": "2.0"})
    assert "OS_IDENTITY_API_VERSION = '2.0': must be 1" in message


def test_a_cloud_says_all_of_the_login() -> None:
    assert read("cloud = mine\n").cloud == "mine"
    assert read("", {"OS_CLOUD": "mine"}).cloud == "mine"
    assert not read(LOGIN, {"OS_CLOUD": "cloud-of-a-user"}).cloud


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "auth_url (or OS_AUTH_URL) is missing"),
        ("", "username and password, or an application credential, are missing"),
        ("", "project_name or project_id is missing"),
        ("application_credential_id = x\n", "application_credential_secret is missing"),
        ("application_credential_name = x\n", "requires the username of its owner"),
        ("auth_version = 1\n", "auth_version = 1 requires username and password"),
        (f"{LOGIN}default_container = a/b\n", "a name without slashes"),
        (f"{LOGIN}segment_size = large\n", "must be a number of bytes above 0"),
        (f"{LOGIN}segment_size = 0\n", "must be a number of bytes above 0"),
        (f"{LOGIN}retries = -1\n", "must be a whole number"),
        (f"{LOGIN}object_storage_url = swift.example\n", "begins with https://"),
        (f"{LOGIN}publish = perhaps\n", "must be true or false"),
    ],
)
def test_a_mistake_says_what_is_allowed(options: str, message: str) -> None:
    assert message in mistakes(options)


@pytest.mark.parametrize(
    ("text", "size"), [("5368709120", 5 * 1024**3), ("5G", 5 * 1024**3), ("64m", 64 * 1024**2)]
)
def test_a_segment_s_size_may_have_a_unit(text: str, size: int) -> None:
    assert read(f"{LOGIN}segment_size = {text}\n").segment_size == size


def test_swift_is_not_asked_for_where_the_mirror_lies_elsewhere() -> None:
    assert (
        loading.parse("[mirror]\ndirectory = /srv/pypi\n[swift]\nusername = me\n", {}).warnings
        == ()
    )


def test_secrets_are_not_shown() -> None:
    options = f"{LOGIN}application_credential_secret = shh\n".replace("= pass", "= hush")
    assert "hush" not in repr(read(options))
    assert "shh" not in repr(read(options))
    message = mistakes(f"{options}retries = many\nauth_version = 2\n")
    assert "hush" not in message
    assert "shh" not in message

"""One account of a Swift cluster: the login, a pool of connections, and the map of errors.

swiftclient makes the requests and retries them; keystoneauth holds the token, which all connections
share. Neither supports asyncio, so that calls run in threads.
"""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import urllib3
from keystoneauth1 import exceptions as keystone
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from requests.exceptions import RequestException
from swiftclient import client as swiftclient
from swiftclient.authv1 import PasswordPlugin
from swiftclient.exceptions import ClientException

from frumious.errors import FrumiousError
from frumious.storage.protocol import Conflict, StorageRefused, StorageUnavailable, refusal
from frumious.storage.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from keystoneauth1.plugin import BaseAuthPlugin

    from frumious.config.swift import SwiftConfig

T = TypeVar("T")

_MAX_CONNECTIONS: Final = 32

# By default it logs the first characters of each token.
swiftclient.logger_settings["reveal_sensitive_prefix"] = 0

_CONFLICT: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
# 422: other bytes arrived than were sent; 498: too many requests (Swift's middleware ratelimit);
# 499: the request broke off, as Swift sees it.
_TEMPORARY: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY, 498, 499})
_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "check username, password and project in [swift]",
    HTTPStatus.FORBIDDEN: "check the user's role in the project, and who may write the container",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "check the account's quota, and segment_size in [swift]",
}


class NotFound(FrumiousError):
    """The object or its container does not exist."""


@dataclass(frozen=True, slots=True)
class Access:
    """The account's URL and a token for it."""

    url: str  # without a trailing slash
    token: str

    def __repr__(self) -> str:
        """Leave out the token."""
        return f"Access({self.url!r})"


class SwiftAccount:
    """The login and the connections of one mirror."""

    def __init__(self, config: SwiftConfig, timeout: float, global_timeout: float) -> None:
        self.requests = 0
        self._config = config
        self.timeout = timeout
        self._idle: list[_Connection] = []
        self._threads = ThreadPool(_MAX_CONNECTIONS, limit=global_timeout, grace=timeout)
        self._session, self._region, self._url = _login(config, timeout)

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()
        self._session.session.close()
        self._threads.close()

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """How to verify certificates, as an argument for aiohttp."""
        verify = self._session.verify
        return (
            ssl.create_default_context(cafile=verify) if isinstance(verify, str) else bool(verify)
        )

    async def access(self) -> Access:
        """Return the URL and the token, for requests that swiftclient does not make."""
        return await self._run(self._access, "the login", read_only=True)

    async def forget_token(self) -> None:
        """Log in again before the next request: the token is no longer valid."""
        await self._threads.run(self._session.invalidate)

    async def run(self, call: Callable[[Any], T], target: str, *, read_only: bool = False) -> T:
        """Make a call of swiftclient in a thread; error messages contain `target`.

        A caller that is cancelled leaves a `read_only` call at once.

        Raises:
            NotFound: the status is 404.
            Conflict: the status is 409 or 412.
        """
        return await self._run(lambda: self._with_connection(call), target, read_only=read_only)

    def _with_connection(self, call: Callable[[Any], T]) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connection()
        try:
            result = call(connection)
        except ClientException:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return result

    def _connection(self) -> _Connection:
        verify = self._session.verify
        return _Connection(
            self._count,
            self._threads.check_cancelled,
            session=self._session,
            os_options={"object_storage_url": self._access().url},
            retries=self._config.retries,
            timeout=self.timeout,
            insecure=not verify,
            cacert=verify if isinstance(verify, str) else None,
        )

    def _access(self) -> Access:
        # Concurrent threads find the same URL.
        if not self._url:
            self._url = self._endpoint().rstrip("/")
        return Access(self._url, self._session.get_token() or "")

    def _endpoint(self) -> str:
        try:
            endpoint = self._session.get_endpoint(
                service_type="object-store", interface="public", region_name=self._region or None
            )
        except keystone.CatalogException:
            endpoint = None
        if endpoint:
            return endpoint
        region = f"region {self._region!r}" if self._region else "any region"
        msg = (
            f"the login's catalogue has no object store in {region}: check region in [swift],"
            " or set object_storage_url"
        )
        raise StorageRefused(msg)

    def _count(self, *_: object, **__: object) -> None:
        self.requests += 1

    async def _run(self, call: Callable[[], T], target: str, *, read_only: bool) -> T:
        """Run a call in a thread, and map its errors."""
        try:
            return await self._threads.run(call, read_only=read_only, target=target)
        except ClientException as error:
            if error.http_status is None:
                msg = f"cannot reach Swift for {target}: {error}"
                raise StorageUnavailable(msg) from error
            raise response_error(error.http_status, target, _text(error)) from error
        except keystone.HttpError as error:
            msg = f"Swift's login failed for {target}: {error}"
            if error.http_status in _ADVICE:
                msg = f"{msg}; {_ADVICE[HTTPStatus(error.http_status)]}"
            raise refusal(error.http_status or 0, msg) from error
        except (keystone.ConnectionError, RequestException, OSError) as error:
            msg = f"cannot reach Swift for {target}: {error}"
            if "certificate verify failed" in msg:  # a permanent error
                msg = f"{msg}; set cacert in [swift] to the certificate of its authority"
                raise StorageRefused(msg) from error
            raise StorageUnavailable(msg) from error
        except (urllib3.exceptions.HTTPError, KeyError, ValueError) as error:
            # A body that broke off, a header that is missing, or JSON that is none.
            msg = f"Swift's response for {target} is not valid: {error!r:.300}"
            raise StorageUnavailable(msg) from error
        except keystone.ClientException as error:
            msg = f"cannot log in to Swift for {target}: {error}; check [swift]"
            raise StorageRefused(msg) from error


def response_error(status: int, target: str, text: str) -> FrumiousError:
    """Return the error for a response of Swift about `target`."""
    msg = f"Swift responds {status} for {target}: {' '.join(text.split()):.300}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(msg)
    if status in _CONFLICT:
        return Conflict(msg)
    if status in _TEMPORARY:
        return StorageUnavailable(msg)
    if status in _ADVICE:
        msg = f"{msg}; {_ADVICE[HTTPStatus(status)]}"
    return refusal(status, msg)


class _Connection(swiftclient.Connection):  # type: ignore[misc] # it brings no types
    """A connection that reports each response, and stops retries that were cancelled."""

    def __init__(
        self,
        on_response: Callable[..., None],
        check_cancelled: Callable[[], None],
        **options: object,
    ) -> None:
        super().__init__(**options)
        self._on_response = on_response
        self._check_cancelled = check_cancelled

    def http_connection(self, url: str | None = None) -> tuple[Any, Any]:
        self._check_cancelled()
        parsed, connection = super().http_connection(url)
        connection.request_session.hooks["response"].append(self._on_response)
        return parsed, connection


def _login(config: SwiftConfig, timeout: float) -> tuple[Session, str, str]:
    """Return a session, the region and, if configured, the account's URL."""
    if config.cloud:
        return _cloud_login(config, timeout)
    verify: bool | str = not config.insecure and (config.cacert or True)
    session = Session(auth=_plugin(config), verify=verify, timeout=timeout)
    return session, config.region, config.object_storage_url


def _plugin(config: SwiftConfig) -> BaseAuthPlugin:
    if config.auth_version == "1":
        return PasswordPlugin(config.auth_url, config.username, config.password)  # type: ignore[no-any-return]
    auth_url = config.auth_url if config.auth_url.endswith("/v3") else f"{config.auth_url}/v3"
    # A domain qualifies a name; an id needs none.
    username = None if config.user_id else config.username
    user_domain = None if config.user_id else config.user_domain_name
    if config.application_credential_id or config.application_credential_name:
        return v3.ApplicationCredential(  # with an id it ignores the name and its owner
            auth_url,
            config.application_credential_secret,
            application_credential_id=config.application_credential_id or None,
            application_credential_name=config.application_credential_name or None,
            user_id=config.user_id or None,
            username=username,
            user_domain_name=user_domain,
        )
    return v3.Password(
        auth_url,
        password=config.password,
        user_id=config.user_id or None,
        username=username,
        user_domain_name=user_domain,
        project_id=config.project_id or None,
        project_name=None if config.project_id else config.project_name,
        project_domain_name=None if config.project_id else config.project_domain_name,
    )


def _cloud_login(config: SwiftConfig, timeout: float) -> tuple[Session, str, str]:
    """Log in with clouds.yaml."""
    # Imported here because it is slow and only clouds.yaml needs it.
    from openstack import config as clouds  # noqa: PLC0415
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="openstack")  # its own deprecations
            cloud = clouds.OpenStackConfig().get_one(
                cloud=config.cloud, region_name=config.region or None, api_timeout=timeout
            )
        session = cloud.get_session()
    except (ConfigException, keystone.ClientException) as error:
        msg = f"cannot use the cloud {config.cloud!r}: {error}; check clouds.yaml"
        raise StorageRefused(msg) from error
    url = config.object_storage_url or cloud.get_endpoint("object-store") or ""
    return session, config.region or cloud.get_region_name() or "", url.rstrip("/")


def _text(error: ClientException) -> str:
    body = error.http_response_content or b""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return text.strip() or error.http_reason or error.msg

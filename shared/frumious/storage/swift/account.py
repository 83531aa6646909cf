"""One account of a Swift cluster: logged in, and asked over several connections at once.

swiftclient makes the requests and repeats what the cluster did not answer; keystoneauth holds the
token, which all connections share. Neither knows asyncio: calls are made in threads.
"""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

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

# It otherwise logs the beginning of each token.
swiftclient.logger_settings["reveal_sensitive_prefix"] = 0

_LOST: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "check username, password and project in [swift]",
    HTTPStatus.FORBIDDEN: "check the user's role in the project, and who may write the container",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "check the account's quota, and segment_size in [swift]",
}


class NotThere(FrumiousError):
    """Swift has no object, or no container, of that name."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the account is, and what opens it for now."""

    address: str  # without a slash at its end
    token: str

    def __repr__(self) -> str:
        """Show all but the secret."""
        return f"Access({self.address!r})"


class SwiftAccount:
    """The login, and the connections of one mirror."""

    def __init__(self, config: SwiftConfig, timeout: float) -> None:
        self.requests = 0
        self._config = config
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._threads = ThreadPool(_MAX_CONNECTIONS)
        self._session, self._region, self._address = _login(config, timeout)

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()
        self._session.session.close()
        self._threads.close()

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """Whose certificates are believed, as aiohttp takes it."""
        verify = self._session.verify
        return (
            ssl.create_default_context(cafile=verify) if isinstance(verify, str) else bool(verify)
        )

    async def access(self) -> Access:
        """Return where to send a request that is made elsewhere, and the token for it."""
        return await self._run(self._access, "the login", read_only=True)

    async def forget_token(self) -> None:
        """Log in anew at the next request: the token is no longer taken."""
        await self._threads.run(self._session.invalidate)

    async def do(self, call: Callable[[Any], T], what: str, *, read_only: bool = False) -> T:
        """Make a call of swiftclient's in a thread; `what` names in errors what it is about.

        A caller that is cancelled leaves a `read_only` call at once.

        Raises:
            NotThere: the answer was 404.
            Conflict: the answer was 409 or 412.
        """
        return await self._run(lambda: self._with_connection(call), what, read_only=read_only)

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
            os_options={"object_storage_url": self._access().address},
            retries=self._config.retries,
            timeout=self._timeout,
            insecure=not verify,
            cacert=verify if isinstance(verify, str) else None,
        )

    def _access(self) -> Access:
        # Threads that come here at the same time all find the same.
        if not self._address:
            self._address = self._endpoint().rstrip("/")
        return Access(self._address, self._session.get_token() or "")

    def _endpoint(self) -> str:
        try:
            found = self._session.get_endpoint(
                service_type="object-store", interface="public", region_name=self._region or None
            )
        except keystone.CatalogException:
            found = None
        if found:
            return found
        where = f"region {self._region!r}" if self._region else "any region"
        msg = (
            f"the login's catalogue has no object store in {where}: check region in [swift],"
            " or name object_storage_url"
        )
        raise StorageRefused(msg)

    def _count(self, *_: object, **__: object) -> None:
        self.requests += 1

    async def _run(self, call: Callable[[], T], what: str, *, read_only: bool) -> T:
        """Run a call in a thread, and map its errors."""
        try:
            return await self._threads.run(call, read_only=read_only)
        except ClientException as error:
            if error.http_status is None:
                msg = f"Swift cannot be asked for {what}: {error}"
                raise StorageUnavailable(msg) from error
            raise answered(error.http_status, what, _text(error)) from error
        except keystone.HttpError as error:
            msg = f"the login to Swift was not taken for {what}: {error}"
            if error.http_status in _ADVICE:
                msg = f"{msg}; {_ADVICE[HTTPStatus(error.http_status)]}"
            raise refusal(error.http_status or 0, msg) from error
        except (keystone.ConnectionError, RequestException, OSError) as error:
            msg = f"Swift cannot be asked for {what}: {error}"
            if "certificate verify failed" in msg:  # which does not mend itself
                msg = f"{msg}; name its authority with cacert in [swift]"
                raise StorageRefused(msg) from error
            raise StorageUnavailable(msg) from error
        except keystone.ClientException as error:
            msg = f"there is no login to Swift for {what}: {error}; check [swift]"
            raise StorageRefused(msg) from error


def answered(status: int, what: str, said: str) -> FrumiousError:
    """Make the error for an answer of Swift's about `what`."""
    msg = f"Swift answers {status} for {what}: {said:.300}"
    if status == HTTPStatus.NOT_FOUND:
        return NotThere(msg)
    if status in _LOST:
        return Conflict(msg)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:  # other bytes arrived than were sent
        return StorageUnavailable(msg)
    if status in _ADVICE:
        return StorageRefused(f"{msg}; {_ADVICE[HTTPStatus(status)]}")
    return refusal(status, msg)


class _Connection(swiftclient.Connection):  # type: ignore[misc] # it brings no types
    """A connection that reports each response, and does not retry for nobody."""

    def __init__(
        self, answered: Callable[..., None], check_cancelled: Callable[[], None], **options: object
    ) -> None:
        super().__init__(**options)
        self._answered = answered
        self._check_cancelled = check_cancelled

    def http_connection(self, url: str | None = None) -> tuple[Any, Any]:
        self._check_cancelled()
        parsed, connection = super().http_connection(url)
        connection.request_session.hooks["response"].append(self._answered)
        return parsed, connection


def _login(config: SwiftConfig, timeout: float) -> tuple[Session, str, str]:
    """Return a session, the region and, where it is set, the account's address."""
    if config.cloud:
        return _cloud_login(config, timeout)
    verify: bool | str = not config.insecure and (config.cacert or True)
    session = Session(auth=_plugin(config), verify=verify, timeout=timeout)
    return session, config.region, config.object_storage_url


def _plugin(config: SwiftConfig) -> BaseAuthPlugin:
    if config.auth_version == "1":
        return PasswordPlugin(config.auth_url, config.username, config.password)  # type: ignore[no-any-return]
    auth_url = config.auth_url if config.auth_url.endswith("/v3") else f"{config.auth_url}/v3"
    # A domain goes with a name only: an id says it already.
    username = None if config.user_id else config.username
    user_domain = None if config.user_id else config.user_domain_name
    if config.application_credential_id:
        return v3.ApplicationCredential(
            auth_url,
            config.application_credential_secret,
            application_credential_id=config.application_credential_id,
        )
    if config.application_credential_name:
        return v3.ApplicationCredential(
            auth_url,
            config.application_credential_secret,
            application_credential_name=config.application_credential_name,
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
    """Log in as clouds.yaml says."""
    # Here, because only who uses clouds.yaml needs it, and it takes long.
    from openstack import config as clouds  # noqa: PLC0415
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="openstack")  # of its own to come
            cloud = clouds.OpenStackConfig().get_one(
                cloud=config.cloud, region_name=config.region or None, api_timeout=timeout
            )
        session = cloud.get_session()
    except (ConfigException, keystone.ClientException) as error:
        msg = f"the cloud {config.cloud!r} cannot be used: {error}; check clouds.yaml"
        raise StorageRefused(msg) from error
    address = config.object_storage_url or cloud.get_endpoint("object-store") or ""
    return session, config.region or cloud.get_region_name() or "", address.rstrip("/")


def _text(error: ClientException) -> str:
    body = error.http_response_content or b""
    said = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return said.strip() or error.http_reason or error.msg

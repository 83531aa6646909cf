"""botocore's sessions and clients: credentials, endpoint, timeouts, retries."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from botocore.config import Config as BotoConfig
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError

from frumious import aws
from frumious.storage.protocol import RESPONSE_TIMEOUTS, StorageRefused

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session
    from mypy_boto3_s3.client import S3Client

    from frumious.config.s3 import S3Config

CONNECTIONS: Final = 50


def is_amazon(client: S3Client) -> bool:
    """Return whether requests go to AWS itself, which supports all that the mirror needs."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"))


@cache
def open_session(config: S3Config) -> Session:
    """Return the session of a configuration. Creating one takes longer than many requests.

    Raises:
        StorageRefused: the profile or the credentials are missing.
    """
    try:
        own = (config.aws_access_key_id, config.profile_name, config.region_name)
        session = aws.open_session(config.profile_name) if any(own) else aws.default_session()
        if config.region_name is not None:
            session.set_config_variable("region", config.region_name)
        if config.aws_access_key_id is not None and config.aws_secret_access_key is not None:
            session.set_credentials(
                config.aws_access_key_id, config.aws_secret_access_key, config.aws_session_token
            )
        credentials = session.get_credentials()
    except BotoCoreError as error:
        msg = f"cannot use the AWS credentials: {error}"
        raise StorageRefused(msg) from error
    if credentials is None:
        msg = (
            "there are no AWS credentials: set a key, a profile_name or a role_arn in [s3],"
            " or provide some where botocore looks for them"
        )
        raise StorageRefused(msg)
    if config.role_arn is None:
        return session
    assumed = aws.open_session(config.profile_name)
    assumed.set_config_variable("region", session.get_config_variable("region"))
    role = _AssumedRole(session, config.role_arn)
    assumed.register_component("credential_provider", CredentialResolver([role]))
    return assumed


def open_client(session: Session, config: S3Config, *, timeout: float) -> S3Client:
    """Create a client; `timeout` is in seconds, to connect and between two reads."""
    client = _client(session, config, timeout)
    if config.is_aws or is_amazon(client):
        return client
    client.close()
    # Many servers do not support the checksums that botocore adds by default.
    client = _client(
        session,
        config,
        timeout,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client.meta.events.register("before-sign.s3.DeleteObjects", _use_md5)
    return client


def _client(session: Session, config: S3Config, timeout: float, **checksums: str) -> S3Client:
    options: dict[str, Any] = {**checksums, "s3": {"addressing_style": config.addressing_style}}
    if config.signature_version is not None:
        options["signature_version"] = config.signature_version
    client = session.create_client(
        "s3",
        endpoint_url=config.endpoint_url,
        config=BotoConfig(
            connect_timeout=timeout,
            read_timeout=RESPONSE_TIMEOUTS * timeout,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "adaptive", "max_attempts": config.max_attempts},
            **options,
        ),
    )
    return cast("S3Client", client)


class _AssumedRole(CredentialProvider):
    """Credentials of a role, assumed with the session's own and renewed before they expire."""

    METHOD = "assume-role"

    def __init__(self, session: Session, role: str) -> None:
        super().__init__()
        self._session = session
        self._role = role

    def load(self) -> DeferredRefreshableCredentials:
        fetcher = AssumeRoleCredentialFetcher(
            self._session.create_client,
            self._session.get_credentials(),
            self._role,
            extra_args={"RoleSessionName": "frumious"},
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)


def _use_md5(request: AWSRequest, **_: object) -> None:
    """Replace botocore's checksum of DeleteObjects by its MD5, which servers of all ages accept."""
    for name in [name for name in request.headers if "checksum" in name.lower()]:
        del request.headers[name]
    md5 = hashlib.md5(request.data or b"", usedforsecurity=False)
    del request.headers["Content-MD5"]  # of an earlier attempt
    request.headers["Content-MD5"] = base64.b64encode(md5.digest()).decode()

"""Access to the bucket: the section `[s3]`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frumious.config import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.config.reader import Reader

PARAMETER: Final = "config_param_"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """Access to the bucket; boto3 determines what is None."""

    region_name: str | None = None
    aws_access_key_id: str | None = field(default=None, repr=False)
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    profile_name: str | None = None
    role_arn: str | None = None  # assumed with the credentials above
    endpoint_url: str | None = None
    is_aws: bool = False  # AWS itself, or an emulator of it
    addressing_style: str = "auto"  # or path, virtual
    signature_version: str | None = None
    max_attempts: int = 10  # of each request
    verify_concurrency: int = 50  # objects that are verified at the same time
    # (name, text) for every call that accepts it; not shown, as it may be an encryption key.
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read_s3(reader: Reader, environment: Mapping[str, str]) -> S3Config:
    """Parse `[s3]`; AWS_ENDPOINT_URL_S3 is the endpoint if the file has none."""
    key_id = reader.get("s3", "aws_access_key_id", values.text_or_none, None)
    secret = reader.get("s3", "aws_secret_access_key", values.text_or_none, None)
    if (key_id is None) != (secret is None):
        missing = "aws_access_key_id" if key_id is None else "aws_secret_access_key"
        reader.mistakes.append(f"[s3] {missing} is missing: a key has both an id and a secret")
    endpoint = reader.get("s3", "endpoint_url", values.optional_url(insecure=True), "")
    return S3Config(
        region_name=reader.get("s3", "region_name", values.text_or_none, None),
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=reader.get("s3", "aws_session_token", values.text_or_none, None),
        profile_name=reader.get("s3", "profile_name", values.text_or_none, None),
        role_arn=reader.get("s3", "role_arn", values.role, None),
        endpoint_url=endpoint or environment.get("AWS_ENDPOINT_URL_S3") or None,
        addressing_style=reader.get(
            "s3", "addressing_style", values.one_of("auto", "path", "virtual"), "auto"
        ),
        signature_version=reader.get("s3", "signature_version", _signature, None),
        max_attempts=reader.get("s3", "max_attempts", values.whole_number(1), 10),
        verify_concurrency=reader.get("s3", "verify_concurrency", values.whole_number(1), 50),
        parameters=tuple(_parameters(reader)),
    )


def _signature(text: str) -> str | None:
    return values.one_of("s3v4", "s3")(text) if text else None


def _parameters(reader: Reader) -> list[tuple[str, str]]:
    """Parse `config_param_X`; botocore's description of S3's operations defines X."""
    parameters = []
    for key in reader.keys("s3", PARAMETER):
        name = key.removeprefix(PARAMETER)
        text = reader.get("s3", key, str, "")
        from frumious.config import s3_parameters  # noqa: PLC0415 (imports botocore; rarely used)

        try:
            s3_parameters.check(name, text)
        except ValueError as error:
            reader.add_mistake("s3", key, str(error))
        parameters.append((name, text))
    return parameters

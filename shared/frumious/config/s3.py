"""Access to the bucket: the section `[s3]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.config import values
from frumious.config.options import Options, option, secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.config.reader import Reader

PARAMETER: Final = "config_param_"


def _endpoint(text: str) -> str | None:
    return values.url(insecure=True)(text) if text else None


def _signature(text: str) -> str | None:
    return values.one_of("s3v4", "s3")(text) if text else None


class S3Config(Options, frozen=True, kw_only=True):
    """Access to the bucket; botocore determines what is None."""

    region_name: str | None = option(values.text_or_none, None)
    aws_access_key_id: str | None = option(values.text_or_none, None, secret=True)
    aws_secret_access_key: str | None = option(values.text_or_none, None, secret=True)
    aws_session_token: str | None = option(values.text_or_none, None, secret=True)
    profile_name: str | None = option(values.text_or_none, None)
    role_arn: str | None = option(values.role, None)  # assumed with the credentials above
    endpoint_url: str | None = option(_endpoint, None, variables=("AWS_ENDPOINT_URL_S3",))
    is_aws: bool = False  # AWS itself, or an emulator of it
    addressing_style: str = option(values.one_of("auto", "path", "virtual"), "auto")
    signature_version: str | None = option(_signature, None)
    max_attempts: int = option(values.whole_number(1), 10)  # of each request
    verify_concurrency: int = option(values.whole_number(1), 50)  # no effect
    # (name, text) for every call that accepts it; not shown, as it may be an encryption key.
    parameters: tuple[tuple[str, str], ...] = secret(())


def read_s3(reader: Reader, environment: Mapping[str, str]) -> S3Config:
    """Parse `[s3]`; AWS_ENDPOINT_URL_S3 is the endpoint if the file has none."""
    options = reader.options("s3", S3Config, environment)
    names = ("aws_access_key_id", "aws_secret_access_key")
    missing = [name for name in names if options[name] is None]
    if len(missing) == 1:
        reader.mistakes.append(f"[s3] {missing[0]} is missing: a key has both an id and a secret")
    return S3Config(**options, parameters=tuple(_parameters(reader)))


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

"""Where a function finds mirror.conf, and what a stack cannot do of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import structs

from frumious.aws import open_client
from frumious.config.choices import SimpleFormat
from frumious.config.loading import ConfigError, load, parse

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

    from frumious.config.settings import Config

NOT_MODIFIED = "304"
_LAYER = Path("/opt")
_MB_FOR_DOWNLOAD = 20  # of a function's memory; a download takes up to 1.5 MB, and some CPU


def read_configuration(path: Path) -> Config:
    """Read mirror.conf from the layer.

    Raises:
        ConfigError: it cannot be read, something in it is invalid, or is not for a stack.
    """
    return for_the_stack(load(path, os.environ))


class ConfigurationObject:
    """A mirror.conf at `s3://bucket/key`, which may change at any time."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._bucket, _, self._key = uri.removeprefix("s3://").partition("/")
        self._client: S3Client = open_client("s3")
        self._etag: str | None = None  # of the last valid one

    def read(self) -> Config | None:
        """Return the configuration; None if it has not changed since it was last returned.

        Raises:
            ConfigError: see `read_configuration`.
        """
        unless: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": self._key}
        if self._etag is not None:
            unless["IfNoneMatch"] = self._etag
        try:
            response = self._client.get_object(**unless)
            text = response["Body"].read().decode("utf-8")
        except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == NOT_MODIFIED:
                return None
            msg = (
                f"FRUMIOUS_CONFIG = {self._uri!r} cannot be read: {error};"
                " it is a path or s3://bucket/key, which the function may s3:GetObject"
            )
            raise ConfigError(msg) from error
        config = for_the_stack(parse(text, os.environ, source=self._uri))
        self._etag = response["ETag"]
        return config


def for_the_stack(settings: Config) -> Config:
    """Return the configuration with the stack's own bucket marked as AWS's.

    Pages that the stack's distribution would not find are refused: its edge function knows their
    plain keys, and serves installers the JSON that they ask for.

    Raises:
        ConfigError: the distribution could not serve the mirror.
    """
    mistakes = []
    if settings.hash_index:
        mistakes.append("[mirror] hash-index = true: a stack serves pages from their plain keys")
    if settings.simple_format is SimpleFormat.HTML:
        mistakes.append("[mirror] simple-format = 'HTML': a stack needs JSON; allowed: ALL, JSON")
    if settings.private.directory and not settings.private.directory.startswith("s3://"):
        mistakes.append(
            f"[private] directory = {settings.private.directory!r}: a stack reads s3://bucket/prefix"
        )
    policy = settings.attestations
    if policy is not None and os.environ.get("FRUMIOUS_VERIFIER") == "":
        mistakes.append("[attestations] needs the stack's parameter VerifyAttestations=true")
    if policy is not None and policy.trust_root.name != str(policy.trust_root):
        mistakes.append(
            f"[attestations] trust-root = {str(policy.trust_root)!r}: a stack reads a file that is"
            " built with mirror.conf, from the same folder; name it without a folder"
        )
    allowed = os.environ.get("FRUMIOUS_DIFF_FILE", settings.diff_file)
    if settings.diff_file not in {"", allowed}:
        mistakes.append(
            f"[mirror] diff-file = {settings.diff_file!r} in the bucket: the finalizer may write"
            f" only {allowed!r}; to change that, edit DiffFile in template.yaml's Mappings"
        )
    if mistakes:
        msg = "mirror.conf cannot be used in Lambda:\n- " + "\n- ".join(mistakes)
        raise ConfigError(msg)
    if policy is not None:
        location = os.environ.get("FRUMIOUS_CONFIG", "mirror.conf")
        folder = _LAYER if location.startswith("s3://") else Path(location).parent
        policy = structs.replace(policy, trust_root=folder / policy.trust_root)
    memory = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"))
    # An endpoint for all of AWS is a stand-in for AWS: the bucket need not be probed.
    s3 = structs.replace(settings.s3, is_aws=settings.s3.endpoint_url is None)
    downloads = min(settings.downloads, memory // _MB_FOR_DOWNLOAD)
    return structs.replace(settings, s3=s3, attestations=policy, downloads=downloads)

"""Where a function finds mirror.conf, and what a stack cannot do of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from frumious.config.choices import SimpleFormat
from frumious.config.loading import ConfigError, load, parse

if TYPE_CHECKING:
    from frumious.config.settings import Config


def read_configuration(location: str) -> Config:
    """Read mirror.conf: the file at a path, or the object at `s3://bucket/key`.

    Raises:
        ConfigError: it cannot be read, something in it is invalid, or is not for a stack.
    """
    if not location.startswith("s3://"):
        return for_the_stack(load(Path(location), os.environ))
    bucket, _, key = location.removeprefix("s3://").partition("/")
    try:
        response = boto3.client("s3").get_object(Bucket=bucket, Key=key)
        text = response["Body"].read().decode("utf-8")
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        msg = (
            f"FRUMIOUS_CONFIG = {location!r} cannot be read: {error};"
            " it is a path or s3://bucket/key, which the function may s3:GetObject"
        )
        raise ConfigError(msg) from error
    return for_the_stack(parse(text, os.environ, source=location))


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
    allowed = os.environ.get("FRUMIOUS_DIFF_FILE", settings.diff_file)
    if settings.diff_file not in {"", allowed}:
        mistakes.append(
            f"[mirror] diff-file = {settings.diff_file!r} in the bucket: the finalizer may write"
            f" only {allowed!r}; to change that, edit DiffFile in template.yaml's Mappings"
        )
    if mistakes:
        msg = "mirror.conf cannot be used in Lambda:\n- " + "\n- ".join(mistakes)
        raise ConfigError(msg)
    # An endpoint for all of boto3 is a stand-in for AWS: the bucket need not be probed.
    return replace(settings, s3=replace(settings.s3, is_aws=settings.s3.endpoint_url is None))

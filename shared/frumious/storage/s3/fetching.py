"""Objects at `s3://bucket/key`, which need not be in the mirror's bucket."""

from __future__ import annotations

from functools import cache
from typing import IO, TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from frumious.storage.protocol import StorageRefused, StorageUnavailable
from frumious.storage.s3.errors import error_for
from frumious.storage.s3.session import open_client, open_session
from frumious.storage.threads import at_most

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

    from frumious.config.s3 import S3Config
    from frumious.config.settings import Config

_CHUNK = 1024**2


def fetch_object(  # noqa: PLR0913, PLR0917 (a request and its limits)
    address: str, etag: str, limit: int, seconds: float, file: IO[bytes], config: Config
) -> str:
    """Write an object to a file, and return its ETag; the given ETag: the object still has it.

    Raises:
        StorageUnavailable: S3 did not respond, not completely within `seconds`, or refused for now.
        StorageRefused: S3 refuses it, or the object has more than `limit` bytes.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    request: GetObjectRequestTypeDef = {"Bucket": bucket, "Key": key}
    if etag:
        request["IfNoneMatch"] = etag
    try:
        with at_most(seconds, address):
            response = _client(config.s3, config.timeout).get_object(**request)
            size = 0
            for chunk in response["Body"].iter_chunks(_CHUNK):
                size += len(chunk)
                if size > limit:
                    msg = f"{address} has more than {limit} bytes"
                    raise StorageRefused(msg)
                file.write(chunk)
            return response["ETag"]
    except ClientError as error:
        if etag and error.response["Error"]["Code"] == "304":
            return etag
        raise _error(error, address) from error
    except (BotoCoreError, OSError) as error:
        msg = f"cannot read {address}: {error}"
        raise StorageUnavailable(msg) from error


def list_objects(bucket: str, prefix: str, after: str, config: Config) -> list[str]:
    """Return the keys with a prefix behind another key, at most a thousand.

    Raises:
        StorageUnavailable: S3 did not respond in time, or refused for now.
        StorageRefused: S3 refuses it.
    """
    target = f"a listing of s3://{bucket}"
    try:
        with at_most(config.global_timeout, target):
            response = _client(config.s3, config.timeout).list_objects_v2(
                Bucket=bucket, Prefix=prefix, StartAfter=after
            )
    except ClientError as error:
        raise _error(error, target) from error
    except (BotoCoreError, OSError) as error:
        msg = f"cannot list s3://{bucket}: {error}"
        raise StorageUnavailable(msg) from error
    return [entry["Key"] for entry in response.get("Contents", [])]


def _error(error: ClientError, target: str) -> StorageUnavailable | StorageRefused:
    details = error.response["Error"]
    code = details.get("Code", "")
    msg = f"S3 responds {code} for {target}"
    found = error_for(error.response["ResponseMetadata"]["HTTPStatusCode"], code, msg)
    return found if isinstance(found, StorageUnavailable) else StorageRefused(msg)


@cache
def _client(config: S3Config, timeout: float) -> S3Client:
    """Open a client, and keep it: a planner reads the same objects at each tick."""
    return open_client(open_session(config), config, timeout=timeout)

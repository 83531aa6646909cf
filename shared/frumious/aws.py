"""Sessions and clients of AWS, by botocore alone: boto3 adds nothing that the mirror uses.

A client is created from megabytes of JSON that describe its service, and botocore looks through the
folders of all of AWS's services for it. That takes longer than all imports of botocore, so here it
is read once in a process, by msgspec, and only services that the mirror uses are known.
"""

from __future__ import annotations

import gzip
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session

if TYPE_CHECKING:
    from botocore.config import Config

_SERVICES: Final = [
    *("cloudfront-keyvaluestore", "events", "kms", "lambda", "s3", "sqs"),
    *("signin", "sso", "sso-oidc", "sts"),  # from which botocore gets credentials
]
_OPENERS: Final[dict[str, Any]] = {".json": open, ".json.gz": gzip.open}


class _Files(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:  # noqa: ANN401
        for suffix, opener in _OPENERS.items():
            try:
                with opener(file_path + suffix, "rb") as file:
                    return msgspec.json.decode(file.read())
            except FileNotFoundError:
                continue
        return None


class _Models(Loader):
    def list_available_services(self, _type_name: str) -> list[str]:
        return _SERVICES


@cache
def _models() -> Loader:
    return _Models(file_loader=_Files())


@cache
def default_session() -> Session:
    """Return the process's session: its credentials and region are those of the environment."""
    return open_session()


def open_session(profile: str | None = None) -> Session:
    """Return a new session."""
    session = Session(profile=profile)
    session.register_component("data_loader", _models())
    return session


def open_client(service: str, config: Config | None = None, *, region: str | None = None) -> Any:  # noqa: ANN401
    """Return a client of the process's session."""
    return default_session().create_client(service, region, config=config)

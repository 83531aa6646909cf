"""Fixtures of most tests: moto's server in a process of its own, and the fake upstream."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, build_opener, install_opener

import pytest

from frumious.storage.threads import Abandoned
from localcloud.moto_server import MotoServer
from tests.upstream import Index, Server
from tests.world import REGION, Aws, World

if TYPE_CHECKING:
    from collections.abc import Iterator


# The opener of the first request stays for all others: it must not know the proxy of one test.
install_opener(build_opener(ProxyHandler({})))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need moto's server, so that `make check` can skip them."""
    for item in items:
        if isinstance(item, pytest.Function) and "aws" in item.fixturenames:
            item.add_marker("moto")


@pytest.fixture(autouse=True)
def _log_everything() -> None:
    """Undo what a command, which an earlier test ran in this process, set."""
    for name in ("frumious", "frumious.backoff"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def _ignore_what_finalizers_ignore() -> Iterator[None]:
    """Let no test fail because a finalizer was interrupted: that is repeated."""
    report = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not Abandoned:
            report(unraisable)

    sys.unraisablehook = hook
    yield
    sys.unraisablehook = report


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """Moto's server, with the environment variables that make boto3 use it."""
    with pytest.MonkeyPatch.context() as environment:
        server = MotoServer()
        environment.setenv("AWS_ENDPOINT_URL", server.endpoint)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield Aws()
        server.stop()


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def upstream(index: Index) -> Iterator[Server]:
    with Server(index) as server:
        yield server


@pytest.fixture
def world(aws: Aws, upstream: Server) -> Iterator[World]:
    """A mirror of the fake upstream in an empty bucket."""
    with World(aws, upstream) as world:
        yield world

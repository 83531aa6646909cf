"""A cold start imports what the function needs, and no more: Lambda bills it, and jobs wait."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.start import FUNCTIONS, function_environment

PROGRAM = """
import gc, ssl, sys

stores = []
load = ssl.SSLContext.set_default_verify_paths
ssl.SSLContext.set_default_verify_paths = lambda context: (stores.append(1), load(context))
import app
ours = [vars(module) for name, module in sys.modules.items() if name.startswith("frumious")]
classes = {value for names in ours for value in names.values() if isinstance(value, type)}
dataclasses = sum("__dataclass_fields__" in vars(each) for each in classes)
print(len(stores), gc.isenabled(), dataclasses, *sys.modules)
"""
NEEDLESS = {
    *("aiohttp_socks", "boto3", "click", "multiprocessing", "rich", "s3transfer", "swiftclient"),
    *("aws_xray_sdk", "keystoneauth1", "openstack", "uvloop"),
    *("aws_lambda_powertools.utilities.batch", "aws_lambda_powertools.utilities.data_classes"),
    *("frumious.access", "frumious.cli", "frumious.cost", "frumious.local"),
    *("frumious.storage.filesystem", "frumious.storage.swift"),
}
MAX_DATACLASSES = 18
ROOMS = {
    "planner": "frumious.planning",
    "worker": "frumious.syncing",
    "finalizer": "frumious.finalizing",
    "auditor": "frumious.auditing",
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_cold_start_imports_nothing_needless(function: str) -> None:
    started = subprocess.run(
        [sys.executable, "-W", "ignore", "-P", "-c", PROGRAM],
        env=function_environment(function),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    stores, collecting, dataclasses, *modules = started.stdout.split()

    others = {room for name, room in ROOMS.items() if name != function}
    assert (NEEDLESS | others) & set(modules) == set()
    assert ROOMS[function] in modules
    assert stores == "1", "the certificates are loaded once"
    assert collecting == "True"
    assert int(dataclasses) <= MAX_DATACLASSES, "a `Value` takes a tenth of the time of a dataclass"

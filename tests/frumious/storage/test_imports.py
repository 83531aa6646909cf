"""A storage imports only its own clients: a folder needs none of S3 or Swift."""

from __future__ import annotations

import subprocess
import sys

import pytest

from localcloud.environment import CHECKOUT

CLIENTS = ("boto3", "botocore", "swiftclient", "keystoneauth1", "openstack", "aiohttp")


@pytest.mark.parametrize("module", ["opening", "protocol", "threads", "filesystem.storage"])
def test_a_folder_imports_no_client_of_another_storage(module: str) -> None:
    program = (
        f"import sys, frumious.storage.{module}\nprint(*set({CLIENTS!r}).intersection(sys.modules))"
    )
    imported = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(CHECKOUT / "shared")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert imported.stdout.split() == []

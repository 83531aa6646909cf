"""Clients of AWS are created from less of botocore's data than botocore reads, and are the same."""

from __future__ import annotations

import inspect
import re

import botocore.credentials
import botocore.tokens
import pytest
from botocore.session import Session

from frumious import aws

CREDENTIAL_SERVICES = re.compile(r"(?:client_creator|create_client)\(\s*['\"]([\w-]+)['\"]")


def credential_services() -> set[str]:
    """Return the services of which botocore's credentials make clients."""
    sources = map(inspect.getsource, (botocore.credentials, botocore.tokens))
    return {name for source in sources for name in CREDENTIAL_SERVICES.findall(source)}


def test_botocore_gets_credentials_from_services_that_are_known() -> None:
    assert credential_services() >= {"sso", "sts"}
    for name in credential_services():
        aws.open_session().create_client(name, "eu-central-1")


@pytest.mark.parametrize("service", ["s3", "sqs", "events", "cloudfront-keyvaluestore", "sts"])
def test_clients_are_those_of_botocore(service: str) -> None:
    ours, theirs = (
        session.create_client(service, "eu-central-1", endpoint_url=None)
        for session in (aws.open_session(), Session())
    )

    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.service_model.metadata == theirs.meta.service_model.metadata
    assert list(ours.meta.service_model.shape_names) == list(theirs.meta.service_model.shape_names)
    assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping

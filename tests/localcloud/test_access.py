"""Who may read, and under which name: addresses, domain name, certificate, logs and firewall."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

import pytest

from frumious.access.tokens import issue
from localcloud.edge import EdgeFunction
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import StackReader, read_stack
from localcloud.template import read_template

from .test_private import basic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.stack import Distribution

DOMAIN = {
    "DomainName": "pypi.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/12345678-aaaa-bbbb",
}
ZONE = {**DOMAIN, "HostedZoneId": "Z0123456789ABC"}
LOGS = {"AccessLogs": "true"}
ACL = {"WebAclArn": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/mirror/12345678-aaaa"}
IPS = {"AllowedIps": "192.0.2.0/24, 2001:db8::/32"}
TOKENS = {"AccessTokens": "true"}
SNAPSHOTS = {"Snapshots": "true"}
MAX_FUNCTION = 10_000


def distribution(**parameters: str) -> Distribution:
    template = CHECKOUT / "template.yaml"
    return read_stack(template, endpoint="http://aws.test", parameters=parameters).distribution


def status(blocks: str, viewer: str) -> int:
    """Return the status for an address, or 200 if the function forwards the request."""
    code = distribution(AllowedIps=blocks).behaviors[-1].edge_code
    assert code is not None
    result = EdgeFunction(code)("GET", "/simple/six/", {}, viewer)
    return int(result.get("statusCode", 200))


@pytest.mark.parametrize(
    ("blocks", "viewer", "allowed"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.70", False),
        ("192.0.2.7/32", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.9/24", "192.0.2.1", True),  # host bits are ignored
        ("192.0.2.128/25", "192.0.2.127", False),
        ("10.0.0.0/9", "10.127.0.1", True),
        ("10.0.0.0/9", "10.128.0.1", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "203.0.113.9", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("2001:DB8::1", "2001:db8:0:0:0:0:0:1", True),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1", True),
        ("::1", "::1", True),
        ("::1", "::2", False),
        ("2001:db8::", "2001:db8::", True),
        ("1:2:3:4:5:6:7:8/127", "1:2:3:4:5:6:7:9", True),
        ("192.0.2.1,198.51.100.0/24 , 2001:db8::/48", "198.51.100.4", True),
        ("192.0.2.1,198.51.100.0/24 , 2001:db8::/48", "2001:db8::4", True),
        ("192.0.2.1,198.51.100.0/24 , 2001:db8::/48", "192.0.2.2", False),
        ("999.0.2.1/1", "192.0.2.2", False),
        ("192.0.2/8", "192.0.2.2", False),
    ],
)
def test_only_allowed_addresses_are_served(blocks: str, viewer: str, *, allowed: bool) -> None:
    assert status(blocks, viewer) == (200 if allowed else 403)


@pytest.mark.parametrize("block", ["203.0.113.64/27", "172.16.0.0/12", "2001:db8:a:8::/61"])
def test_addresses_are_compared_as_python_compares_them(block: str) -> None:
    network = ipaddress.ip_network(block)
    first, last = network[0], network[-1]
    for address in (first - 1, first, network[network.num_addresses // 3], last, last + 1):
        assert status(block, str(address)) == (200 if address in network else 403)


@pytest.mark.parametrize(
    "value",
    ["10.0.0.0/", "10.0.0.0/8,", ",", "'", "x", "10.0.0.1;1.1.1.1", "10.0.0.0/8'+alert()+'", " "],
)
def test_the_stack_refuses_what_is_not_a_list_of_blocks(value: str) -> None:
    parameter = read_template(CHECKOUT / "template.yaml")["Parameters"]["AllowedIps"]
    assert re.search(parameter["AllowedPattern"], value) is None
    assert re.search(parameter["AllowedPattern"], IPS["AllowedIps"])


def test_both_address_and_token_are_required() -> None:
    secret, record = issue("ci", 0)
    code = distribution(**IPS, **TOKENS).behaviors[0].edge_code
    assert code is not None
    function = EdgeFunction(code, {"ci": record.to_json()})
    headers = {"Authorization": basic("x", secret)}
    path = "/packages/aa/bb/six.whl"
    refused = function("GET", path, headers, "198.51.100.1")
    assert refused["statusCode"] == 403
    assert refused["headers"]["cache-control"]["value"] == "no-store"
    assert function("GET", path, {}, "192.0.2.1")["statusCode"] == 401
    assert function("GET", path, headers, "192.0.2.1")["uri"] == path


def test_the_longest_function_fits_into_cloudfront() -> None:
    parameter = read_template(CHECKOUT / "template.yaml")["Parameters"]["AllowedIps"]
    longest = ",".join(["2001:db8:aaaa:bbbb::/64"] * 100)[: parameter["MaxLength"]]
    others = {"SimpleAllIps": longest[:120], **TOKENS, **SNAPSHOTS}
    code = distribution(AllowedIps=longest, **others).behaviors[-1].edge_code
    assert len((code or "").encode()) < MAX_FUNCTION


def test_every_response_of_the_origin_demands_https() -> None:
    for behavior in distribution().behaviors:
        assert behavior.added_headers["Strict-Transport-Security"] == "max-age=31536000"


def config(parameters: Mapping[str, str]) -> dict[str, Any]:
    reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", parameters)
    properties = reading.resolver.resolve(reading.resources["Distribution"]["Properties"])
    return dict(properties["DistributionConfig"])


def test_a_domain_name_is_served_with_tls_1_2_at_least() -> None:
    domain = config(DOMAIN)
    assert domain["Aliases"] == [DOMAIN["DomainName"]]
    assert domain["ViewerCertificate"] == {
        "AcmCertificateArn": DOMAIN["CertificateArn"],
        "SslSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }
    assert not {"Aliases", "ViewerCertificate", "WebACLId"} & config({}).keys()
    assert config(ACL)["WebACLId"] == ACL["WebAclArn"]


def test_the_outputs_name_the_domain() -> None:
    for parameters, host in (({}, "Distribution"), (DOMAIN, "pypi.example.com")):
        reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", parameters)
        for output, path in (("IndexUrl", "simple/"), ("StatusUrl", "status.json")):
            value = reading.resolver.resolve(reading.template["Outputs"][output]["Value"])
            assert value == f"https://{host}/{path}"


def test_the_hosted_zone_gets_records_for_both_protocols() -> None:
    reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", ZONE)
    records = [
        reading.resolver.resolve(resource["Properties"])
        for resource in reading.resources.values()
        if resource["Type"] == "AWS::Route53::RecordSet"
    ]
    assert {record["Type"] for record in records} == {"A", "AAAA"}
    assert {record["Name"] for record in records} == {DOMAIN["DomainName"]}
    assert {r["AliasTarget"]["HostedZoneId"] for r in records} == {"Z2FDTNDATAQYW2"}


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        ("DomainName", DOMAIN["DomainName"], "https://pypi.example.com"),
        ("DomainName", "a-b.co", "-a.example.com"),
        ("CertificateArn", DOMAIN["CertificateArn"], "arn:aws:acm:eu-west-1:1:certificate/x"),
        ("HostedZoneId", ZONE["HostedZoneId"], "/hostedzone/Z0123456789ABC"),
        ("WebAclArn", ACL["WebAclArn"], "arn:aws:wafv2:eu-west-1:1:regional/webacl/x/y"),
    ],
)
def test_parameters_have_patterns(name: str, valid: str, invalid: str) -> None:
    pattern = read_template(CHECKOUT / "template.yaml")["Parameters"][name]["AllowedPattern"]
    assert re.search(pattern, valid)
    assert re.search(pattern, "")
    assert re.search(pattern, invalid) is None


def violated(parameters: Mapping[str, str], region: str = "us-east-1") -> set[str]:
    """Return the rules of the template that refuse these parameters."""
    reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", parameters)
    reading.resolver.references["AWS::Region"] = region  # type: ignore[index]
    resolve = reading.resolver.resolve
    return {
        name
        for name, rule in reading.template["Rules"].items()
        if resolve(rule["RuleCondition"])
        and not all(resolve(assertion["Assert"]) for assertion in rule["Assertions"])
    }


def test_parameters_that_belong_together_are_required_together() -> None:
    for parameters in ({}, DOMAIN, ZONE, LOGS, ACL, IPS, TOKENS, SNAPSHOTS):
        assert violated(parameters) == set()
    assert violated({"DomainName": "x.example"}) == {"DomainNameNeedsCertificate"}
    certificate = {"CertificateArn": DOMAIN["CertificateArn"]}
    assert violated(certificate) == {"CertificateNeedsDomainName"}
    zone = {"HostedZoneId": ZONE["HostedZoneId"]}
    assert violated(zone) == {"HostedZoneNeedsDomainName"}
    assert violated(LOGS, "eu-west-1") == {"AccessLogsNeedRegion"}
    for parameters in (DOMAIN, LOGS, ACL, IPS):
        website = violated({**parameters, "ServeFrom": "website"})
        assert website == {"AccessParametersNeedDistribution"}


def test_access_logs_need_no_acl() -> None:
    reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", LOGS)
    bucket = reading.resources["AccessLogBucket"]["Properties"]
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "Logging" not in config(LOGS)
    stack = reading.stack()
    assert stack.bucket == stack.distribution.bucket == "frumious-local-mirrorbucket"

"""ServeFrom: a distribution with a private bucket, or the bucket's website."""

from __future__ import annotations

import pytest

from tests.localcloud.serving import RuleBroken, Serving

ARN = "arn:aws:s3:::bucket"
PAGE = f"{ARN}/web/simple/six/index.html"
STATE = [f"{ARN}/state/cursor.json", f"{ARN}/status", f"{ARN}/website", f"{ARN}/mirrored-files"]


@pytest.fixture(scope="module")
def website() -> Serving:
    return Serving.of(ServeFrom="website")


@pytest.fixture(scope="module")
def distribution() -> Serving:
    return Serving.of()


def test_a_website_needs_nothing_of_cloudfront(website: Serving, distribution: Serving) -> None:
    assert "Distribution" in distribution.resources
    texts = {id_: repr(properties).lower() for id_, properties in website.resources.items()}
    assert not {id_ for id_, text in texts.items() if "cloudfront" in text}
    assert "DistributionId" not in website.outputs


def test_everybody_reads_the_web_folder_of_a_website_and_nothing_else(website: Serving) -> None:
    assert website.everybody_may("s3:GetObject", PAGE)
    assert website.everybody_may("s3:GetObject", PAGE, secure=True)
    for secure in (False, True):
        for key in STATE:
            assert not website.everybody_may("s3:GetObject", key, secure=secure)
        assert not website.everybody_may("s3:ListBucket", ARN, secure=secure)
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:GetObjectAcl"):
            assert not website.everybody_may(action, PAGE, secure=secure)


def test_without_encryption_a_website_can_only_be_read(website: Serving) -> None:
    """Also for those whom a role allows more."""
    denied = [("s3:ListBucket", ARN), ("s3:PutObject", PAGE), ("s3:GetObject", STATE[0])]
    for action, resource in denied:
        assert website.effects(action, resource, secure=False) == {"Deny"}
        assert website.effects(action, resource, secure=True) == set()


def test_behind_a_distribution_the_bucket_is_private(distribution: Serving) -> None:
    for key in (PAGE, *STATE):
        assert distribution.effects("s3:GetObject", key, secure=True) == set()
        assert distribution.effects("s3:GetObject", key, secure=False) == {"Deny"}
    assert {*distribution.bucket["PublicAccessBlockConfiguration"].values()} == {True}
    assert "WebsiteConfiguration" not in distribution.bucket


def test_only_a_website_may_have_a_public_policy_and_none_may_have_public_acls(
    website: Serving,
) -> None:
    assert website.bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": False,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": False,
    }


def test_outputs_name_the_address_that_clients_need(
    website: Serving, distribution: Serving
) -> None:
    host = "bucket.s3-website-us-east-1.amazonaws.com"
    assert website.outputs["IndexUrl"] == f"http://{host}/web/simple/"
    assert website.outputs["PipInstall"] == (
        f"pip install --index-url http://{host}/web/simple/ --trusted-host {host} PROJECT"
    )
    assert distribution.outputs["IndexUrl"] == "https://Distribution.DomainName/simple/"


KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"AccessTokens": "true"}, "everybody reads the mirror"),
        ({"Snapshots": "true"}, "a snapshot's own page"),
        ({"KmsKeyArn": KEY}, "nobody anonymous can use a KMS key"),
    ],
)
def test_a_website_cannot_be_private(parameters: dict[str, str], reason: str) -> None:
    Serving.of(**parameters)
    with pytest.raises(RuleBroken, match=reason):
        Serving.of(ServeFrom="website", **parameters)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("serve_from", ["cloudfront", "website"])
def test_nothing_refers_to_what_does_not_exist(region: str, serve_from: str) -> None:
    Serving.of(**{"AWS::Region": region, "ServeFrom": serve_from, "AlarmEmail": "a@example.com"})

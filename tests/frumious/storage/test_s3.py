"""What is particular to S3: how it is asked, and what other servers than AWS's do not do."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

from frumious.config import loading
from frumious.mirror import open_mirror
from frumious.model.types import Key
from frumious.storage.protocol import (
    Conflict,
    Guarantees,
    StorageRefused,
    StorageUnavailable,
)
from frumious.storage.s3.capabilities import Capabilities
from frumious.storage.s3.storage import S3Storage
from tests.frumious.storage.contract import FILE, PAGE, expected, listed, store
from tests.servers.between import Asked, Between, Conditions, WrongRegion
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from frumious.config.settings import Config
    from tests.world import Aws, World

T = TypeVar("T")

ACCOUNT = "123456789012"  # moto's
SIGNING = frozenset(  # what differs between two requests, and with how the bytes are hashed
    {"x-amz-date", "x-amz-content-sha256", "x-amz-meta-sha256", "x-amz-sdk-checksum-algorithm"}
)


@pytest.fixture
def server(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Moto, as if it were somebody's own S3."""
    monkeypatch.setattr("frumious.storage.s3.storage._PROBED", {})
    return S3Server(aws.s3.meta.endpoint_url, "testing", "testing")


def with_storage(settings: Config, work: Callable[[S3Storage], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with aclosing(S3Storage(settings)) as storage:
            return await work(storage)

    return asyncio.run(opened())


async def do_everything(storage: S3Storage) -> None:
    tag = await storage.create(PAGE, b"first")
    await storage.write(PAGE, b"second", replacing=tag)
    await storage.read(PAGE)
    await storage.head(PAGE)
    await store(storage, FILE, b"file")
    await store(storage, Key(f"{FILE}.large"), b"file", expected(b"file", size=False))
    with pytest.raises(RuntimeError):
        await storage.store(FILE, broken(), expected(b"file", size=False))
    assert len(await listed(storage)) == 3
    await storage.delete([PAGE])


async def broken() -> AsyncIterator[bytes]:
    yield b"x"
    raise RuntimeError


def amazon_headers(asked: Asked) -> dict[str, str]:
    """Return what a request says to S3, without what is only about its bytes."""
    return {
        name: value
        for name, value in asked.headers.items()
        if name.startswith("x-amz-") and name not in SIGNING and "checksum" not in name
    }


def test_a_configured_parameter_goes_with_every_call_that_takes_it(server: S3Server) -> None:
    with Between(server.endpoint) as between:
        settings = replace(server, endpoint=between.url).config(
            f"config_param_ExpectedBucketOwner = {ACCOUNT}\nconfig_param_RequestPayer = requester"
        )
        between.asked.clear()
        with_storage(settings, do_everything)

    kinds = {(one.method, one.query.partition("=")[0]) for one in between.asked}
    assert {
        *(("GET", ""), ("HEAD", ""), ("PUT", ""), ("GET", "list-type"), ("POST", "delete")),
        ("GET", "uploads&prefix"),
        *(("POST", "uploads"), ("PUT", "uploadId"), ("POST", "uploadId"), ("DELETE", "uploadId")),
    } == {(method, "list-type" if "list-type" in query else query) for method, query in kinds}
    for one in between.asked:
        assert one.headers["x-amz-expected-bucket-owner"] == ACCOUNT, one
        assert one.headers["x-amz-request-payer"] == "requester", one


@pytest.mark.parametrize(
    "options",
    [
        (
            "config_param_ServerSideEncryption = aws:kms\nconfig_param_SSEKMSKeyId = some-key\n"
            "config_param_BucketKeyEnabled = true"
        ),
        (
            "config_param_SSECustomerAlgorithm = AES256\n"
            "config_param_SSECustomerKey = 0123456789abcdef0123456789abcdef"
        ),
        (
            'config_param_Metadata = {"team": "index"}\nconfig_param_Tagging = a=b&c=d%20e\n'
            "config_param_StorageClass = STANDARD_IA\nconfig_param_ACL = public-read"
        ),
    ],
)
def test_a_streamed_file_is_put_with_what_boto3_would_put_it_with(
    server: S3Server, options: str
) -> None:
    async def put_both(storage: S3Storage) -> None:
        await storage.prepare()
        between.asked.clear()
        await storage.write(FILE, b"file")
        await store(storage, FILE, b"file")

    with Between(server.endpoint) as between:
        with_storage(replace(server, endpoint=between.url).config(options), put_both)

    by_boto3, streamed = between.asked
    assert amazon_headers(streamed) == amazon_headers(by_boto3)
    assert len(amazon_headers(streamed)) >= 2
    assert streamed.headers["content-type"] == by_boto3.headers["content-type"]
    assert streamed.headers["cache-control"] == by_boto3.headers["cache-control"]


def test_the_configured_cache_control_stands_before_ours(server: S3Server) -> None:
    settings = server.config("config_param_CacheControl = no-store")

    async def put_both(storage: S3Storage) -> None:
        await storage.write(PAGE, b"page")
        await store(storage, FILE, b"file")

    with_storage(settings, put_both)

    for key in (PAGE, FILE):
        said = server.client().head_object(Bucket=settings.bucket, Key=f"some/prefix/{key}")
        assert said["CacheControl"] == "no-store"


@pytest.mark.parametrize(
    ("conditions", "able"),
    [
        (Conditions.KEPT, Capabilities(signed_sha256=False)),
        (Conditions.UNQUOTED, Capabilities(quoted_etags=False, signed_sha256=False)),
        (Conditions.IGNORED, Capabilities(False, False, False, False)),  # noqa: FBT003
        (Conditions.REFUSED, Capabilities(False, False, False, False)),  # noqa: FBT003
    ],
)
def test_what_a_server_does_not_do_is_found_out_and_done_as_well_as_can_be(
    server: S3Server,
    conditions: Conditions,
    able: Capabilities,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def replace_twice(storage: S3Storage) -> Guarantees:
        before = storage.guarantees
        assert before == Guarantees(conditional_writes=False, verified_uploads=False)
        first = await storage.write(PAGE, b"first")
        second = await storage.write(PAGE, b"second", replacing=first)
        for attempt in (storage.write(PAGE, b"x", replacing=first), storage.create(PAGE, b"x")):
            with pytest.raises(Conflict):
                await attempt
        await storage.write(PAGE, b"third", replacing=second)
        await storage.create(FILE, b"new")
        assert sorted(await listed(storage)) == sorted([PAGE, FILE])  # nothing is left of trying
        assert await storage.prepare() == able
        return storage.guarantees

    with Between(server.endpoint, conditions) as between:
        theirs = replace(server, endpoint=between.url)
        guarantees = with_storage(theirs.config(), replace_twice)
        with_storage(theirs.config(), lambda storage: storage.create(PAGE, b"x"))

    assert guarantees == able.guarantees
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == (0 if able.if_match else 1)


@pytest.mark.parametrize("where", ["variable", "profile"])
def test_a_server_that_boto3_alone_knows_of_is_tried_as_well(
    server: S3Server, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Between(server.endpoint, Conditions.IGNORED) as between:
        bucket = server.bucket()
        if where == "variable":
            monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        else:
            monkeypatch.delenv("AWS_ENDPOINT_URL")
            profiles = tmp_path / "config"
            profiles.write_text(f"[default]\nendpoint_url = {between.url}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
        # A key of its own: sessions are kept, with the profiles that they have read.
        settings = loading.parse(
            f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}\n"
            f"[s3]\naws_access_key_id = {where}\naws_secret_access_key = testing\n",
            {},
        )
        able = with_storage(settings, lambda storage: storage.prepare())

    assert not able.guarantees.conditional_writes


def test_two_in_one_process_are_kept_apart_even_so(server: S3Server) -> None:
    async def race(storage: S3Storage) -> list[object]:
        tag = await storage.write(PAGE, b"first")
        writes = (storage.write(PAGE, b"%d" % number, replacing=tag) for number in range(8))
        return await asyncio.gather(*writes, return_exceptions=True)

    with Between(server.endpoint, Conditions.IGNORED) as between:
        outcomes = with_storage(replace(server, endpoint=between.url).config(), race)

    assert [type(one) for one in outcomes].count(str) == 1


def test_a_server_is_tried_once_and_that_is_no_request_of_the_mirror_s(server: S3Server) -> None:
    async def prepare(storage: S3Storage) -> int:
        await storage.prepare()
        return storage.pop_request_count()

    with Between(server.endpoint) as between:
        theirs = replace(server, endpoint=between.url)
        assert with_storage(theirs.config(), prepare) == 0
        tried = len(between.asked)
        assert with_storage(theirs.config(), prepare) == 0

    assert tried > 3
    assert len(between.asked) == tried + 1  # the second bucket


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "eusc-de-east-1"])
def test_aws_is_not_tried(aws: Aws, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    settings = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /bucket\n[s3]\nregion_name = {region}\n", {}
    )

    async def prepare(storage: S3Storage) -> int:
        assert (await storage.prepare()) == Capabilities()
        assert storage.guarantees == Guarantees(conditional_writes=True, verified_uploads=True)
        return storage.pop_request_count()

    assert with_storage(settings, prepare) == 0


def test_a_role_is_taken_on_and_again_when_it_ends(aws: Aws) -> None:
    bucket = S3Server(aws.s3.meta.endpoint_url, "testing", "testing").bucket()
    settings = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}\n"
        f"[s3]\nregion_name = us-east-1\nrole_arn = arn:aws:iam::{ACCOUNT}:role/mirror\n",
        {},
    )

    async def store_twice(storage: S3Storage) -> tuple[str, str]:
        credentials: Any = storage._bucket.signed_put._credentials
        assert isinstance(credentials, RefreshableCredentials)
        await store(storage, FILE, b"first")
        first = credentials.access_key
        inside = vars(credentials)
        inside["_expiry_time"] = inside["_time_fetcher"]()
        inside["_refresh_using"].__self__._cache.clear()  # it knows when they end by itself
        await store(storage, FILE, b"second")
        await storage.write(PAGE, b"page")
        return first, credentials.access_key

    first, second = with_storage(settings, store_twice)

    assert {first, second}.isdisjoint({"testing"})
    assert first != second


@pytest.mark.parametrize("token", ["", "aws_session_token = some-token"])
def test_a_session_token_goes_with_everything(server: S3Server, token: str) -> None:
    with Between(server.endpoint) as between:
        settings = replace(server, endpoint=between.url).config(token)
        between.asked.clear()
        with_storage(settings, do_everything)

    said = {one.headers.get("x-amz-security-token") for one in between.asked}
    assert said == {"some-token" if token else None}


def test_an_old_signature_sends_files_in_parts(server: S3Server) -> None:
    async def put(storage: S3Storage) -> None:
        await storage.prepare()
        between.asked.clear()
        await store(storage, FILE, b"file")

    with Between(server.endpoint) as between:
        settings = replace(server, endpoint=between.url).config("signature_version = s3")
        with_storage(settings, put)

    assert [one.method for one in between.asked] == ["GET", "POST", "PUT", "POST"]
    assert all(one.headers["authorization"].startswith("AWS ") for one in between.asked)


@pytest.mark.parametrize(
    ("style", "address"),
    [
        ("path", "https://s3.example/bucket/"),
        ("virtual", "https://bucket.s3.example/"),
    ],
)
def test_a_bucket_is_addressed_as_configured(style: str, address: str) -> None:
    settings = loading.parse(
        "[mirror]\nstorage-backend = s3\ndirectory = /bucket\n[s3]\nregion_name = us-east-1\n"
        "endpoint_url = https://s3.example\naws_access_key_id = a\naws_secret_access_key = b\n"
        f"addressing_style = {style}\n",
        {},
    )

    async def where(storage: S3Storage) -> str:
        return storage._bucket.signed_put._target.url

    assert with_storage(settings, where) == address


def aws_regions() -> list[tuple[str, str]]:
    """Return all regions that botocore knows, each with its partition."""
    session = boto3.Session()
    return [
        (partition, region)
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("s3", partition, allow_non_regional=True)
    ]


@pytest.mark.parametrize(("partition", "region"), aws_regions())
def test_files_go_to_the_endpoint_of_the_region(
    monkeypatch: pytest.MonkeyPatch, partition: str, region: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (suffix,) = (
        found["outputs"]["dnsSuffix"]
        for found in botocore.session.Session().get_data("partitions")["partitions"]
        if found["id"] == partition
    )

    async def target(storage: S3Storage) -> tuple[str, str]:
        found = storage._bucket.signed_put._target
        return found.url, found.region

    for bucket in ("bucket", "dotted.bucket"):
        settings = loading.parse(
            f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}\n[s3]\nregion_name = {region}\n"
            "aws_access_key_id = a\naws_secret_access_key = b\n",
            {},
        )
        url, signed = with_storage(settings, target)
        # A certificate for *.s3.REGION does not cover a dot.
        in_host = "." not in bucket
        expected_url = "https://{}{}/{}".format(
            f"{bucket}." if in_host else "",
            f"s3.{region}.{suffix}",
            "" if in_host else f"{bucket}/",
        )
        if region in {"us-east-1", "aws-global"}:  # whose endpoint is the global one
            assert url == expected_url.replace(f".{region}", "")
            assert signed == "us-east-1"
        elif region.startswith(("fips-", "s3-external-1")):  # one endpoint of a region
            assert "//s3.amazonaws.com/" not in url
            assert f"//{bucket}.s3.amazonaws.com/" not in url
        else:
            assert (url, signed) == (expected_url, region)


@pytest.mark.parametrize(
    "wrong_region",
    [
        WrongRegion(301, "PermanentRedirect"),
        WrongRegion(307, "TemporaryRedirect"),
        WrongRegion(400, "AuthorizationHeaderMalformed"),
        WrongRegion(400, "IllegalLocationConstraintException"),
    ],
)
def test_a_file_for_another_region_is_accepted_at_the_second_attempt(
    server: S3Server, wrong_region: WrongRegion, caplog: pytest.LogCaptureFixture
) -> None:
    settings = server.config()

    async def put_twice(storage: S3Storage) -> None:
        with pytest.raises(StorageUnavailable, match=str(wrong_region.status)):
            await store(storage, FILE, b"file")
        await store(storage, FILE, b"file")

    with Between(server.endpoint, wrong_region=wrong_region) as between:
        moved = replace(settings, s3=replace(settings.s3, endpoint_url=between.url))
        with_storage(moved, put_twice)

    stored = server.client().get_object(Bucket=settings.bucket, Key=f"some/prefix/{FILE}")
    assert stored["Body"].read() == b"file"
    (warning,) = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.endswith("is in eu-south-1, not in us-east-1; set region_name in [s3]")


def test_missing_credentials_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    text = "[mirror]\nstorage-backend = s3\ndirectory = /bucket\n[s3]\nregion_name = eu-west-9\n"

    async def opens(settings: Config) -> None:
        S3Storage(settings)

    with pytest.raises(StorageRefused, match="there are no AWS credentials: set a key"):
        asyncio.run(opens(loading.parse(text, {})))
    with pytest.raises(StorageRefused, match="profile \\(nobody\\) could not be found"):
        asyncio.run(opens(loading.parse(f"{text}profile_name = nobody\n", {})))


def test_a_profile_says_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    file = tmp_path / "credentials"
    file.write_text("[other]\naws_access_key_id = theirs\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    text = (
        "[mirror]\nstorage-backend = s3\ndirectory = /bucket\n"
        "[s3]\nprofile_name = other\nregion_name = eu-west-8\n"
    )

    async def who(storage: S3Storage) -> str:
        credentials = storage._bucket.signed_put._credentials
        return credentials.access_key if credentials is not None else ""

    assert with_storage(loading.parse(text, {}), who) == "theirs"


def test_the_diff_file_s_bucket_is_opened_beside_the_mirror(aws: Aws) -> None:
    bucket = S3Server(aws.s3.meta.endpoint_url, "testing", "testing").bucket()
    settings = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}/mirror\n"
        f"diff-file = /{bucket}/lists/diff\n",
        {},
    )

    async def write() -> None:
        async with open_mirror(settings) as mirror:
            await mirror.diffs.write(Key(mirror.config.diff_file), b"x")
            await mirror.storage.write(PAGE, b"x")

    asyncio.run(write())

    contents = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [one["Key"] for one in contents] == ["lists/diff", f"mirror/{PAGE}"]


def test_what_s3_keeps_of_a_file_s_hash_is_told(server: S3Server) -> None:
    async def head(storage: S3Storage) -> list[str | None]:
        await store(storage, FILE, b"file")
        await store(storage, PAGE, b"file", expected(b"file", size=False))
        heads = [await storage.head(FILE), await storage.head(PAGE)]
        return [one.sha256 for one in heads if one is not None]

    sha256 = hashlib.sha256(b"file").hexdigest()
    assert with_storage(server.config(), head) == [sha256, sha256]


def test_uploads_that_a_killed_process_left_long_ago_are_aborted(
    world: World,
) -> None:
    world.s3.create_multipart_upload(Bucket=world.bucket, Key="web/packages/left.tar.gz")

    assert world.run(lambda mirror: mirror.storage.remove_leftovers()) == 1
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=world.bucket)

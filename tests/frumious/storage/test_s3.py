"""What is specific to S3: its requests, and what servers other than AWS's do not support."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from msgspec import structs

from frumious.config import loading
from frumious.errors import FrumiousError, Retryable
from frumious.mirror import open_mirror
from frumious.model import layout
from frumious.model.checksums import FileStream
from frumious.model.types import Key
from frumious.storage.protocol import (
    Conflict,
    StorageRefused,
    StorageUnavailable,
)
from frumious.storage.s3.capabilities import Capabilities
from frumious.storage.s3.signed_get import is_intact
from frumious.storage.s3.storage import S3Storage
from tests.frumious.storage.contract import FILE, PAGE, expected, listed, store
from tests.servers.makers import ALL_AT_ONCE, Checksums, Conditions, Traits
from tests.servers.recording_proxy import (
    Fault,
    RecordedRequest,
    RecordingProxy,
    Response,
    WrongRegion,
)
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from frumious.config.settings import Config
    from tests.world import Aws, World

T = TypeVar("T")

ACCOUNT = "123456789012"  # moto's
CURSOR = layout.CURSOR
LARGE = Key(f"{FILE}.large")
SIGNING = frozenset(  # differ proxy two requests, or depend on how the bytes are hashed
    {"x-amz-date", "x-amz-content-sha256", "x-amz-meta-sha256", "x-amz-sdk-checksum-algorithm"}
)


@pytest.fixture
def server(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Moto, as if it were an S3 server that is not AWS's."""
    monkeypatch.setattr("frumious.storage.s3.storage._PROBED", {})
    return S3Server(aws.s3.meta.endpoint_url, "testing", "testing")


def with_storage(settings: Config, work: Callable[[S3Storage], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with aclosing(S3Storage(settings)) as storage:
            return await work(storage)

    return asyncio.run(opened())


async def do_everything(storage: S3Storage) -> None:
    etag = await storage.create(PAGE, b"first")
    await storage.write(PAGE, b"second", replacing=etag)
    await storage.read(PAGE)
    await storage.head(PAGE)
    await store(storage, FILE, b"file")
    await store(storage, LARGE, b"file", expected(b"file", size=False))
    with pytest.raises(RuntimeError):
        await storage.store(FILE, FileStream(broken(), expected(b"file", size=False), "upstream"))
    assert len(await listed(storage)) == 3
    await storage.delete([PAGE])


async def broken() -> AsyncIterator[bytes]:
    yield b"x"
    raise RuntimeError


def amazon_headers(request: RecordedRequest) -> dict[str, str]:
    """Return a request's headers for S3, without those that describe its bytes."""
    return {
        name: value
        for name, value in request.headers.items()
        if name.startswith("x-amz-") and name not in SIGNING and "checksum" not in name
    }


def test_configured_parameters_are_sent_with_every_call_that_accepts_them(server: S3Server) -> None:
    with RecordingProxy(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config(
            f"config_param_ExpectedBucketOwner = {ACCOUNT}\nconfig_param_RequestPayer = requester"
        )
        proxy.requests.clear()
        with_storage(settings, do_everything)

    kinds = {(request.method, request.query.partition("=")[0]) for request in proxy.requests}
    assert {
        *(("GET", ""), ("HEAD", ""), ("PUT", ""), ("GET", "list-type"), ("POST", "delete")),
        *(("GET", "uploads&prefix"), ("DELETE", "")),
        *(("POST", "uploads"), ("PUT", "uploadId"), ("POST", "uploadId"), ("DELETE", "uploadId")),
    } == {(method, "list-type" if "list-type" in query else query) for method, query in kinds}
    for request in proxy.requests:
        assert request.headers["x-amz-expected-bucket-owner"] == ACCOUNT, request
        assert request.headers["x-amz-request-payer"] == "requester", request


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
def test_a_streamed_file_has_the_same_headers_as_boto3_s_requests(
    server: S3Server, options: str
) -> None:
    async def put_both(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.requests.clear()
        await storage.write(FILE, b"file")
        await store(storage, FILE, b"file")

    with RecordingProxy(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(options), put_both)

    by_boto3, streamed = proxy.requests
    assert amazon_headers(streamed) == amazon_headers(by_boto3)
    assert len(amazon_headers(streamed)) >= 2
    assert streamed.headers["content-type"] == by_boto3.headers["content-type"]
    assert streamed.headers["cache-control"] == by_boto3.headers["cache-control"]


def test_a_configured_cache_control_overrides_ours(server: S3Server) -> None:
    settings = server.config("config_param_CacheControl = no-store")

    async def put_both(storage: S3Storage) -> None:
        await storage.write(PAGE, b"page")
        await store(storage, FILE, b"file")

    with_storage(settings, put_both)

    for key in (PAGE, FILE):
        head = server.client().head_object(Bucket=settings.bucket, Key=f"some/prefix/{key}")
        assert head["CacheControl"] == "no-store"


NO_CONDITIONS = Capabilities(
    if_none_match=False, if_match=False, quoted_etags=False, signed_sha256=False
)
UNVERIFIED = Capabilities(signed_sha256=False)  # as moto


@pytest.mark.parametrize(
    ("traits", "capabilities"),
    [
        (Traits(), UNVERIFIED),
        (Traits(Conditions.UNQUOTED), structs.replace(UNVERIFIED, quoted_etags=False)),
        (Traits(Conditions.IGNORED), NO_CONDITIONS),
        (Traits(Conditions.REFUSED), NO_CONDITIONS),
        *(
            (
                Traits(refused_checksums=where, checksum_status=status, verifies_sha256=verifies),
                Capabilities(checksums=False, signed_sha256=verifies),
            )
            for where, status, verifies in (
                (Checksums.EVERYWHERE, 400, True),
                (Checksums.EVERYWHERE, 501, False),
                (Checksums.PUT, 400, False),
                (Checksums.HEAD, 400, False),
                (Checksums.CREATE, 501, False),
                (Checksums.PARTS, 501, True),
            )
        ),
        (Traits(delete_objects_status=400), structs.replace(UNVERIFIED, delete_objects=False)),
        (Traits(delete_objects_status=501), structs.replace(UNVERIFIED, delete_objects=False)),
        (Traits(wants_md5=True), UNVERIFIED),
        (Traits(missing_status=403), UNVERIFIED),
        (Traits(verifies_sha256=True), Capabilities()),
        (Traits(lists_uploads=False), structs.replace(UNVERIFIED, list_uploads=False)),
        (
            ALL_AT_ONCE,
            structs.replace(
                NO_CONDITIONS, checksums=False, delete_objects=False, list_uploads=False
            ),
        ),
    ],
)
def test_missing_capabilities_of_a_server_are_detected_and_replaced(
    server: S3Server, traits: Traits, capabilities: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(storage: S3Storage) -> None:
        assert await storage.read(PAGE) is None
        first = await storage.write(PAGE, b"first")
        second = await storage.write(PAGE, b"second", replacing=first)
        for attempt in (storage.write(PAGE, b"x", replacing=first), storage.create(PAGE, b"x")):
            with pytest.raises(Conflict):
                await attempt
        await storage.write(PAGE, b"third", replacing=second)
        await storage.create(CURSOR, b"new")
        await store(storage, FILE, b"file")
        await store(storage, LARGE, b"file", expected(b"file", size=False))
        for key in (FILE, LARGE):
            head = await storage.head(key)
            assert head is not None
            assert head.sha256 == hashlib.sha256(b"file").hexdigest()
        # Probing leaves nothing.
        assert sorted(await listed(storage)) == sorted([PAGE, CURSOR, FILE, LARGE])
        await storage.delete([PAGE, CURSOR, FILE, LARGE])
        assert await listed(storage) == []
        assert await storage.head(PAGE) is None
        assert await storage.prepare() == capabilities

    caplog.set_level(logging.INFO)
    with RecordingProxy(server.endpoint, traits) as proxy:
        theirs = replace(server, endpoint=proxy.url)
        with_storage(theirs.config(), use)
        caplog_of_first = len(caplog.records)
        with_storage(theirs.config(), lambda storage: storage.create(PAGE, b"x"))

    messages = [record.message for record in caplog.records]
    assert len(messages) == len(set(messages)) == caplog_of_first
    assert any("conditional writes" in message for message in messages) != capabilities.if_match
    assert any("checksum headers" in message for message in messages) != capabilities.checksums
    assert any("DeleteObjects" in message for message in messages) != capabilities.delete_objects


@pytest.mark.parametrize("where", ["variable", "profile"])
def test_a_server_that_only_boto3_s_configuration_names_is_probed_too(
    server: S3Server, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingProxy(server.endpoint, Traits(Conditions.IGNORED)) as proxy:
        bucket = server.bucket()
        if where == "variable":
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        else:
            monkeypatch.delenv("AWS_ENDPOINT_URL")
            profiles = tmp_path / "config"
            profiles.write_text(f"[default]\nendpoint_url = {proxy.url}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
        # A separate key, because sessions and the profiles that they read are cached.
        settings = loading.parse(
            f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}\n"
            f"[s3]\naws_access_key_id = {where}\naws_secret_access_key = testing\n",
            {},
        )
        capabilities = with_storage(settings, lambda storage: storage.prepare())

    assert not capabilities.if_match


def test_a_bucket_that_does_not_exist_is_named_with_what_to_do(server: S3Server) -> None:
    settings = server.config().for_directory("/no-such-bucket")

    with pytest.raises(FrumiousError, match="there is no bucket 'no-such-bucket': create it"):
        with_storage(settings, lambda storage: storage.read(CURSOR))


def test_one_process_detects_its_own_conflicts_without_conditional_writes(server: S3Server) -> None:
    async def race(storage: S3Storage) -> list[object]:
        etag = await storage.write(PAGE, b"first")
        writes = (storage.write(PAGE, b"%d" % number, replacing=etag) for number in range(8))
        return await asyncio.gather(*writes, return_exceptions=True)

    with RecordingProxy(server.endpoint, Traits(Conditions.IGNORED)) as proxy:
        outcomes = with_storage(replace(server, endpoint=proxy.url).config(), race)

    assert [type(outcome) for outcome in outcomes].count(str) == 1


def test_a_server_is_probed_once_and_its_probes_are_not_counted(server: S3Server) -> None:
    async def prepare(storage: S3Storage) -> int:
        await storage.prepare()
        return storage.pop_request_count()

    with RecordingProxy(server.endpoint) as proxy:
        theirs = replace(server, endpoint=proxy.url)
        assert with_storage(theirs.config(), prepare) == 0
        probes = len(proxy.requests)
        assert with_storage(theirs.config(), prepare) == 0

    assert probes > 3
    assert len(proxy.requests) == probes + 1  # the second bucket


@pytest.mark.parametrize("change", ["", "a day later", "another server", "damaged"])
def test_what_a_server_supports_is_remembered_for_a_day(
    server: S3Server, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> int:
        monkeypatch.setattr("frumious.storage.s3.storage._PROBED", {})  # as in a new process
        proxy.requests.clear()
        assert with_storage(settings, lambda storage: storage.prepare()) == UNVERIFIED
        return len(proxy.requests)

    with RecordingProxy(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config()
        assert prepare() > 3
        assert prepare() == 1
        key = "some/prefix/state/s3-server.json"
        if change == "a day later":
            monkeypatch.setattr("frumious.storage.s3.findings._MAX_AGE", timedelta(0))
        elif change:
            body = server.client().get_object(Bucket=settings.bucket, Key=key)["Body"].read()
            named = b'"server":"' in body
            assert named
            other = body.replace(b'"server":"', b'"server":"not ') if "server" in change else b"{"
            server.client().put_object(Bucket=settings.bucket, Key=key, Body=other)

        assert prepare() == 1 if not change else prepare() > 3


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "eusc-de-east-1"])
def test_aws_is_not_probed(aws: Aws, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    settings = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /bucket\n[s3]\nregion_name = {region}\n", {}
    )

    async def prepare(storage: S3Storage) -> int:
        assert (await storage.prepare()) == Capabilities()
        return storage.pop_request_count()

    assert with_storage(settings, prepare) == 0


def test_a_role_is_assumed_again_when_its_credentials_expire(aws: Aws) -> None:
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
        fields = vars(credentials)
        fields["_expiry_time"] = fields["_time_fetcher"]()
        fields["_refresh_using"].__self__._cache.clear()  # it has an expiry time of its own
        await store(storage, FILE, b"second")
        await storage.write(PAGE, b"page")
        return first, credentials.access_key

    first, second = with_storage(settings, store_twice)

    assert {first, second}.isdisjoint({"testing"})
    assert first != second


def test_credentials_that_cannot_be_renewed_now_are_a_passing_fault(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = S3Server(aws.s3.meta.endpoint_url, "testing", "testing").bucket()
    settings = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /{bucket}\n"
        f"[s3]\nregion_name = us-east-1\nrole_arn = arn:aws:iam::{ACCOUNT}:role/other\n",
        {},
    )

    async def use(storage: S3Storage) -> None:
        await store(storage, FILE, b"file")
        fields = vars(storage._bucket.signed_put._credentials)
        fields["_expiry_time"] = fields["_time_fetcher"]()
        fields["_refresh_using"].__self__._cache.clear()
        sts.faults.append(Fault("POST", 400, "ThrottledForNow", count=9))
        for request in (
            store(storage, FILE, b"file"),
            storage.write(PAGE, b"page"),
            storage.read(PAGE),
        ):
            with pytest.raises(StorageUnavailable, match="cannot renew the AWS credentials"):
                await request
        sts.faults.clear()
        await store(storage, FILE, b"file")

    with RecordingProxy(aws.s3.meta.endpoint_url) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with_storage(settings, use)


@pytest.mark.parametrize("token", ["", "aws_session_token = some-token"])
def test_a_session_token_is_sent_with_every_request(server: S3Server, token: str) -> None:
    with RecordingProxy(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config(token)
        proxy.requests.clear()
        with_storage(settings, do_everything)

    tokens = {request.headers.get("x-amz-security-token") for request in proxy.requests}
    assert tokens == {"some-token" if token else None}


def test_with_the_old_signature_files_are_multipart_uploads(server: S3Server) -> None:
    async def put(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.requests.clear()
        await store(storage, FILE, b"file")

    with RecordingProxy(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config("signature_version = s3")
        with_storage(settings, put)

    assert [request.method for request in proxy.requests] == ["GET", "POST", "PUT", "POST"]
    assert all(request.headers["authorization"].startswith("AWS ") for request in proxy.requests)


@pytest.mark.parametrize(
    ("style", "address"),
    [
        ("path", "https://s3.example/bucket/"),
        ("virtual", "https://bucket.s3.example/"),
    ],
)
def test_the_bucket_s_url_has_the_configured_style(style: str, address: str) -> None:
    settings = loading.parse(
        "[mirror]\nstorage-backend = s3\ndirectory = /bucket\n[s3]\nregion_name = us-east-1\n"
        "endpoint_url = https://s3.example\naws_access_key_id = a\naws_secret_access_key = b\n"
        f"addressing_style = {style}\n",
        {},
    )

    async def url(storage: S3Storage) -> str:
        return storage._bucket.signed_put.target.url

    assert with_storage(settings, url) == address


def aws_regions() -> list[tuple[str, str]]:
    """Return all regions that botocore knows, each with its partition."""
    session = boto3.Session()
    return [
        (partition, region)
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("s3", partition, allow_non_regional=True)
    ]


@pytest.mark.parametrize(("partition", "region"), aws_regions())
def test_files_are_sent_to_the_region_s_endpoint(
    monkeypatch: pytest.MonkeyPatch, partition: str, region: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (suffix,) = (
        found["outputs"]["dnsSuffix"]
        for found in botocore.session.Session().get_data("partitions")["partitions"]
        if found["id"] == partition
    )

    async def target(storage: S3Storage) -> tuple[str, str]:
        found = storage._bucket.signed_put.target
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


@pytest.mark.parametrize("is_aws", [True, False])
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
    server: S3Server,
    wrong_region: WrongRegion,
    caplog: pytest.LogCaptureFixture,
    *,
    is_aws: bool,
) -> None:
    settings = server.config()

    async def put_twice(storage: S3Storage) -> None:
        if is_aws:  # else the probes have found it
            with pytest.raises(StorageUnavailable, match=str(wrong_region.status)):
                await store(storage, FILE, b"file")
        await store(storage, FILE, b"file")

    with RecordingProxy(server.endpoint, wrong_region=wrong_region) as proxy:
        moved = structs.replace(
            settings, s3=structs.replace(settings.s3, endpoint_url=proxy.url, is_aws=is_aws)
        )
        with_storage(moved, put_twice)

    stored = server.client().get_object(Bucket=settings.bucket, Key=f"some/prefix/{FILE}")
    assert stored["Body"].read() == b"file"
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.endswith("is in eu-south-1, not in us-east-1; set region_name in [s3]")


def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_the_configured_profile_s_credentials_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    file = tmp_path / "credentials"
    file.write_text("[other]\naws_access_key_id = theirs\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    text = (
        "[mirror]\nstorage-backend = s3\ndirectory = /bucket\n"
        "[s3]\nprofile_name = other\nregion_name = eu-west-8\n"
    )

    async def key_id(storage: S3Storage) -> str:
        credentials = storage._bucket.signed_put._credentials
        return credentials.access_key if credentials is not None else ""

    assert with_storage(loading.parse(text, {}), key_id) == "theirs"


def test_the_diff_file_can_be_in_another_folder_of_the_bucket(aws: Aws) -> None:
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
    assert {entry["Key"] for entry in contents} - {"mirror/state/s3-server.json"} == {
        "lists/diff",
        f"mirror/{PAGE}",
    }


def test_head_returns_the_sha256_that_s3_stores(server: S3Server) -> None:
    async def head(storage: S3Storage) -> list[str | None]:
        await store(storage, FILE, b"file")
        await store(storage, PAGE, b"file", expected(b"file", size=False))
        heads = [await storage.head(FILE), await storage.head(PAGE)]
        return [head.sha256 for head in heads if head is not None]

    sha256 = hashlib.sha256(b"file").hexdigest()
    assert with_storage(server.config(), head) == [sha256, sha256]


def test_the_parts_of_an_upload_have_the_same_size(server: S3Server) -> None:
    part, odd = 8 * 1024**2, 3 * 1024**2 + 1
    body = b"x" * odd * 6

    async def odd_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), odd):
            yield body[start : start + odd]

    async def use(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.requests.clear()
        await storage.store(FILE, FileStream(odd_chunks(), expected(body, size=False), "upstream"))
        read = await storage.read(FILE)
        assert read is not None
        assert read.body == body

    with RecordingProxy(server.endpoint) as proxy:  # Cloudflare R2 requires it
        with_storage(replace(server, endpoint=proxy.url).config(), use)

    parts = [request.headers for request in proxy.requests if "partNumber" in request.query]
    sizes = [int(headers["content-length"]) for headers in parts]
    assert sorted(sizes) == [len(body) - 2 * part, part, part]


class _Together(RecordingProxy):
    """Answers parts only when three of them are under way at the same time."""

    barrier: threading.Barrier | None = None

    def _refuse(self, request: RecordedRequest, body: bytes) -> Response | None:
        if self.barrier is not None and "partNumber" in request.query:
            self.barrier.wait()
        return super()._refuse(request, body)


def test_parts_of_an_upload_are_sent_at_the_same_time(server: S3Server) -> None:
    part = 8 * 1024**2
    body = b"a" * part + b"b" * part + b"c"

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def use(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.barrier = threading.Barrier(3, timeout=30)
        await storage.store(FILE, FileStream(chunks(), expected(body, size=False), "upstream"))
        read = await storage.read(FILE)
        assert read is not None
        assert read.body == body

    with _Together(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(), use)


def test_an_upload_is_aborted_when_a_part_fails(server: S3Server) -> None:
    body = b"a" * 32 * 1024**2

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def use(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.requests.clear()
        proxy.faults.append(Fault("PUT", 403, "AccessDenied"))
        with pytest.raises(StorageRefused):
            await storage.store(FILE, FileStream(chunks(), expected(body, size=False), "upstream"))

    with RecordingProxy(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(), use)

    assert proxy.requests[-1].method == "DELETE"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (409, "OperationAborted"),
        (409, "ConcurrentModification"),
        (503, "SlowDown"),
    ],
)
def test_a_temporary_refusal_of_a_request_is_no_answer(
    server: S3Server, status: int, code: str
) -> None:
    async def use(storage: S3Storage) -> None:
        await storage.prepare()
        await storage.write(PAGE, b"page")

        async def fails(method: str, request: Awaitable[object]) -> None:
            # boto3 repeats some requests.
            proxy.faults[:] = [Fault(each, status, code, count=9) for each in (method, "GET")]
            with pytest.raises(Retryable):
                await request

        await fails("PUT", store(storage, FILE, b"file"))
        await fails("PUT", storage.write(PAGE, b"other"))
        await fails("GET", storage.read(PAGE))
        await fails("HEAD", storage.head(PAGE))  # which has no body that says why
        await fails("POST", storage.delete([PAGE]))
        proxy.faults.clear()
        await store(storage, FILE, b"file")
        assert await storage.head(PAGE) is not None

    with RecordingProxy(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config("max_attempts = 1"), use)


class _Deleting(RecordingProxy):
    """Responds to DeleteObjects with errors for single keys."""

    codes: tuple[str, ...] = ()

    def _refuse(self, request: RecordedRequest, body: bytes) -> Response | None:
        if not self.codes or request.query != "delete":
            return super()._refuse(request, body)
        errors = (f"<Error><Key>x</Key><Code>{code}</Code></Error>" for code in self.codes)
        answer = f"<DeleteResult>{''.join(errors)}</DeleteResult>".encode()
        return 200, {"Content-Length": str(len(answer))}, answer


def test_deleting_what_is_missing_is_no_error(server: S3Server) -> None:
    async def use(storage: S3Storage) -> None:
        await storage.prepare()
        proxy.codes = ("NoSuchKey", "NoSuchKey")
        await storage.delete([PAGE, FILE])
        proxy.codes = ("NoSuchKey", "AccessDenied")
        with pytest.raises(StorageRefused, match="cannot delete"):
            await storage.delete([PAGE, FILE])
        proxy.codes = ("NoSuchKey", "SlowDown")
        with pytest.raises(StorageUnavailable):
            await storage.delete([PAGE, FILE])

    with _Deleting(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(), use)


class _OldListings(RecordingProxy):
    """Knows no ListObjectsV2: responds as to ListObjects, whose pages have no token."""

    def _refuse(self, request: RecordedRequest, body: bytes) -> Response | None:
        if "list-type=2" not in request.query:
            return super()._refuse(request, body)
        key = "<Contents><Key>x</Key><Size>1</Size><ETag>x</ETag></Contents>"
        answer = f"<ListBucketResult><IsTruncated>true</IsTruncated>{key}</ListBucketResult>"
        return 200, {"Content-Length": str(len(answer))}, answer.encode()


def test_a_listing_without_its_continuation_is_not_taken_for_all_there_is(
    server: S3Server,
) -> None:
    async def use(storage: S3Storage) -> None:
        with pytest.raises(StorageRefused, match="a listing is incomplete"):
            await listed(storage)

    with _OldListings(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(), use)


def test_a_refusal_is_not_taken_for_a_missing_object(server: S3Server) -> None:
    async def use(storage: S3Storage) -> None:
        await storage.write(PAGE, b"page")
        for method, request in (("GET", storage.read(PAGE)), ("HEAD", storage.head(PAGE))):
            proxy.faults[:] = [Fault(method, 403, "AccessDenied", count=2)]  # boto3 asks too
            with pytest.raises(StorageRefused):
                await request

    with RecordingProxy(server.endpoint) as proxy:
        with_storage(replace(server, endpoint=proxy.url).config(), use)


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (200, "not the object")])
def test_boto3_reads_what_a_quick_read_does_not_get(
    server: S3Server, status: int, code: str
) -> None:
    async def use(storage: S3Storage) -> list[bool]:
        await storage.write(PAGE, b"page")
        proxy.requests.clear()
        proxy.faults[:] = [Fault("GET", status, code)]
        for _ in range(2):
            read = await storage.read(PAGE)
            assert read is not None
            assert read.body == b"page"
        assert storage.pop_request_count() == len(proxy.requests) + 1  # the write
        return ["Botocore" in request.headers["user-agent"] for request in proxy.requests]

    with RecordingProxy(server.endpoint) as proxy:
        by_boto3 = with_storage(replace(server, endpoint=proxy.url).config(), use)

    assert by_boto3 == [False, True, True]


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (403, "AccessDenied")])
def test_boto3_writes_what_a_quick_write_does_not(server: S3Server, status: int, code: str) -> None:
    async def use(storage: S3Storage) -> list[bool]:
        etag = await storage.write(PAGE, b"page")
        proxy.requests.clear()
        storage.pop_request_count()
        proxy.faults[:] = [Fault("PUT", status, code)]
        etag = await storage.write(PAGE, b"other", replacing=etag)
        with pytest.raises(Conflict):
            await storage.create(PAGE, b"new")
        await storage.write(PAGE, b"last", replacing=etag)
        assert storage.pop_request_count() == len(proxy.requests)
        return ["Botocore" in request.headers["user-agent"] for request in proxy.requests]

    with RecordingProxy(server.endpoint) as proxy:
        by_boto3 = with_storage(replace(server, endpoint=proxy.url).config(), use)

    assert by_boto3 == [False, True, True, True]


def test_a_read_with_another_checksum_than_the_stored_one_is_not_trusted() -> None:
    headers = {"ETag": '"etag"', "x-amz-checksum-crc32": "DUoRhQ=="}  # of "hello world"

    assert is_intact(b"hello world", headers)
    assert not is_intact(b"hello World", headers)
    assert is_intact(b"hello World", {**headers, "x-amz-checksum-crc32": "DUoRhQ==-2"})
    assert not is_intact(b"hello world", {})


class _RefusingFiles(RecordingProxy):
    """Refuses each streamed file with 400, whatever its bytes are."""

    def _refuse(self, request: RecordedRequest, body: bytes) -> Response | None:
        if request.method == "PUT" and "x-amz-meta-sha256" in request.headers:
            return 400, {"Content-Length": "0"}, b""
        return super()._refuse(request, body)


def test_a_server_that_refuses_right_bytes_as_well_is_not_said_to_verify(server: S3Server) -> None:
    with _RefusingFiles(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config()
        capabilities = with_storage(settings, lambda storage: storage.prepare())

    assert not capabilities.signed_sha256


def test_two_processes_that_try_out_a_server_at_once_find_the_same(server: S3Server) -> None:
    async def prepare_both() -> list[Capabilities]:
        async with aclosing(S3Storage(settings)) as one, aclosing(S3Storage(settings)) as other:
            return [*await asyncio.gather(one.prepare(), other.prepare())]

    with RecordingProxy(server.endpoint) as proxy:
        settings = replace(server, endpoint=proxy.url).config()
        assert asyncio.run(prepare_both()) == [UNVERIFIED, UNVERIFIED]
        tried = {request.path for request in proxy.requests if "state/probe/" in request.path}

    assert len(tried) == 2


def test_probes_of_another_process_are_not_deleted_before_it_has_ended(server: S3Server) -> None:
    async def use(storage: S3Storage) -> None:
        probe = Key("state/probe/of-another-process")
        await storage.write(probe, b"probe")
        assert await storage.remove_leftovers() == 0
        assert await listed(storage) == [probe]

    with_storage(server.config(), use)
    with_storage(server.config(mirror="timeout = 1\nglobal-timeout = 1"), leave_a_probe)


async def leave_a_probe(storage: S3Storage) -> None:
    await storage.write(Key("state/probe/of-a-killed-process"), b"probe")
    await asyncio.sleep(2.1)  # S3 tells times in seconds
    assert await storage.remove_leftovers() == 1
    assert await listed(storage) == []


def test_old_uploads_of_a_killed_process_are_aborted(
    world: World,
) -> None:
    world.s3.create_multipart_upload(Bucket=world.bucket, Key="web/packages/left.tar.gz")

    assert world.run(lambda mirror: mirror.storage.remove_leftovers()) == 1
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=world.bucket)

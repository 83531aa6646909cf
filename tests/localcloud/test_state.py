"""The bucket outlives the stack in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.state import load_bucket, save_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud import LocalCloud


@pytest.fixture
def bucket(cloud: LocalCloud, request: pytest.FixtureRequest) -> str:
    return make_bucket(cloud, request, "old")


@pytest.fixture
def new_bucket(cloud: LocalCloud, request: pytest.FixtureRequest) -> str:
    return make_bucket(cloud, request, "new")


def make_bucket(cloud: LocalCloud, request: pytest.FixtureRequest, prefix: str) -> str:
    name = f"{prefix}-{request.node.name}".replace("_", "-")[:60]
    cloud.s3.create_bucket(Bucket=name)
    return name


def put(cloud: LocalCloud, bucket: str, key: str, body: bytes, **headers: Any) -> None:
    cloud.s3.put_object(Bucket=bucket, Key=key, Body=body, **headers)


def contents(cloud: LocalCloud, bucket: str) -> dict[str, tuple[bytes, str, str | None]]:
    found: dict[str, tuple[bytes, str, str | None]] = {}
    for item in cloud.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        answer = cloud.s3.get_object(Bucket=bucket, Key=item["Key"])
        found[item["Key"]] = (
            answer["Body"].read(),
            answer["ContentType"],
            answer.get("CacheControl"),
        )
    return found


def test_what_was_saved_is_loaded(
    cloud: LocalCloud, bucket: str, new_bucket: str, tmp_path: Path
) -> None:
    put(cloud, bucket, "status", b"12", ContentType="text/plain")
    put(cloud, bucket, "web/simple/six", b"", ContentType="text/html", CacheControl="max-age=60")
    put(cloud, bucket, "web/simple/six/index.html", b"12", ContentType="text/html")
    save_bucket(cloud.s3, bucket, tmp_path)
    load_bucket(cloud.s3, new_bucket, tmp_path)
    assert contents(cloud, new_bucket) == {
        "status": (b"12", "text/plain", None),
        "web/simple/six": (b"", "text/html", "max-age=60"),
        "web/simple/six/index.html": (b"12", "text/html", None),
    }


def test_a_folder_that_is_not_there_is_an_empty_mirror(
    cloud: LocalCloud, bucket: str, tmp_path: Path
) -> None:
    load_bucket(cloud.s3, bucket, tmp_path / "nothing")
    assert contents(cloud, bucket) == {}


def test_what_is_gone_from_the_bucket_is_gone_from_the_folder(
    cloud: LocalCloud, bucket: str, tmp_path: Path
) -> None:
    put(cloud, bucket, "old", b"old")
    put(cloud, bucket, "kept", b"kept")
    save_bucket(cloud.s3, bucket, tmp_path)
    cloud.s3.delete_object(Bucket=bucket, Key="old")
    save_bucket(cloud.s3, bucket, tmp_path)
    assert len(list((tmp_path / "bodies").iterdir())) == 1


def test_a_save_that_is_interrupted_leaves_the_one_before(
    cloud: LocalCloud,
    bucket: str,
    new_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(cloud, bucket, "a", b"first")
    put(cloud, bucket, "b", b"first")
    save_bucket(cloud.s3, bucket, tmp_path)
    put(cloud, bucket, "a", b"second")
    cloud.s3.delete_object(Bucket=bucket, Key="b")
    put(cloud, bucket, "c", b"second")
    with monkeypatch.context() as patch:
        patch.setattr("localcloud.state.json.dumps", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_bucket(cloud.s3, bucket, tmp_path)
    load_bucket(cloud.s3, new_bucket, tmp_path)
    assert {key: body for key, (body, *_) in contents(cloud, new_bucket).items()} == {
        "a": b"first",
        "b": b"first",
    }
    save_bucket(cloud.s3, bucket, tmp_path)
    assert len(list((tmp_path / "bodies").iterdir())) == 1


def interrupt(*_: object, **__: object) -> str:
    raise KeyboardInterrupt

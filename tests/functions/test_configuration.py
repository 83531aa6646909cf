"""The functions read mirror.conf from their layer or from a bucket."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from frumious.config.loading import ConfigError
from frumious_lambda.configuration import ConfigurationObject, read_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import Aws

TEXT = "[mirror]\nstorage-backend = s3\ndirectory = /bucket\nworkers = 7\n"


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = f"settings-{uuid.uuid4()}"
    region = aws.s3.meta.region_name
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    return name


def test_the_configuration_can_be_a_file_in_the_layer(tmp_path: Path) -> None:
    file = tmp_path / "mirror.conf"
    file.write_text(TEXT)

    assert read_configuration(file).workers == 7


@pytest.mark.parametrize(("memory", "downloads"), [("512", 25), ("1769", 50)])
def test_a_small_worker_downloads_fewer_files_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str, downloads: int
) -> None:
    file = tmp_path / "mirror.conf"
    file.write_text(TEXT)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)

    assert read_configuration(file).downloads == downloads


def test_the_configuration_can_be_an_object_in_a_bucket(aws: Aws, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="some/mirror.conf", Body=TEXT.encode())

    configuration = ConfigurationObject(f"s3://{bucket}/some/mirror.conf")
    first = configuration.read()
    assert first is not None
    assert first.workers == 7
    assert configuration.read() is None, "it has not changed"

    aws.s3.put_object(Bucket=bucket, Key="some/mirror.conf", Body=TEXT.replace("7", "8").encode())
    second = configuration.read()
    assert second is not None
    assert second.workers == 8


@pytest.mark.parametrize("key", ["nothing.conf", ""])
def test_a_missing_configuration_object_is_named(bucket: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"FRUMIOUS_CONFIG = 's3://{bucket}/{key}' cannot be"):
        ConfigurationObject(f"s3://{bucket}/{key}").read()


def test_mistakes_in_a_configuration_object_name_it(aws: Aws, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="mirror.conf", Body=b"[mirror]\nworkers = many\n")

    with pytest.raises(ConfigError, match=rf"s3://{bucket}/mirror\.conf is invalid"):
        ConfigurationObject(f"s3://{bucket}/mirror.conf").read()


def test_options_that_a_stack_cannot_serve_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mirror.conf"
    options = "hash-index = true\nsimple-format = HTML\n[private]\ndirectory = /srv/wheels\n"
    file.write_text(TEXT + options)

    with pytest.raises(ConfigError) as refused:
        read_configuration(file)

    assert str(refused.value) == (
        "mirror.conf cannot be used in Lambda:\n"
        "- [mirror] hash-index = true: a stack serves pages from their plain keys\n"
        "- [mirror] simple-format = 'HTML': a stack needs JSON; allowed: ALL, JSON\n"
        "- [private] directory = '/srv/wheels': a stack reads s3://bucket/prefix"
    )


@pytest.mark.parametrize("key", ["lists/changes", "mirrored-files.txt"])
def test_a_diff_file_that_the_finalizer_may_not_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("FRUMIOUS_DIFF_FILE", "mirrored-files")
    file = tmp_path / "mirror.conf"
    file.write_text(f"{TEXT}diff-file = {{{{mirror_directory}}}}/{key}\n")

    with pytest.raises(ConfigError, match=f"diff-file = '{key}' .* only 'mirrored-files'; to"):
        read_configuration(file)

    monkeypatch.setenv("FRUMIOUS_DIFF_FILE", key)
    assert read_configuration(file).diff_file == key
    file.write_text(TEXT)
    assert not read_configuration(file).diff_file

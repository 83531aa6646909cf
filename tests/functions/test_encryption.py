"""A bucket that encrypts with a key of the account's own: uploads follow its default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.upstream import wheel

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        ServerSideEncryptionByDefaultTypeDef,
        ServerSideEncryptionRuleTypeDef,
    )

    from localcloud import LocalCloud
    from tests.upstream import Index


def test_streamed_files_and_pages_are_encrypted_with_the_buckets_key(
    cloud: LocalCloud, index: Index
) -> None:
    key = cloud._client("kms").create_key()["KeyMetadata"]["Arn"]
    default: ServerSideEncryptionByDefaultTypeDef = {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }
    rule: ServerSideEncryptionRuleTypeDef = {"ApplyServerSideEncryptionByDefault": default}
    cloud.s3.put_bucket_encryption(
        Bucket=cloud.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    for version in ("1.0", "2.0"):  # the second one replaces pages and state by their ETags
        index.upload(wheel("demo", version))
        cloud.tick("PlannerFunction")
        cloud.pump()
        assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "updated"}

    stored = cloud.s3.list_objects_v2(Bucket=cloud.bucket)["Contents"]
    assert len([each for each in stored if each["Key"].startswith("web/packages/")]) == 4
    for each in stored:
        head = cloud.s3.head_object(Bucket=cloud.bucket, Key=each["Key"])
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key), each["Key"]

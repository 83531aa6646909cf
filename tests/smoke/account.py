"""The stack in an AWS account: deployed by SAM under a name of its own, and deleted with all of it.

Reads the account from the environment, as every AWS tool does.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from localcloud.environment import CHECKOUT

from .checks import DeployedMirror, SmokeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUILT = CHECKOUT / ".aws-sam/build/template.yaml"
_DEPLOY_SECONDS = 2700  # a distribution takes some minutes, a whole stack less than a quarter hour
_DELETE_SECONDS = 2700
_POLL_SECONDS = 15


class Account:
    """Deploys and deletes stacks in one region."""

    def __init__(self, region: str) -> None:
        self._region = region
        options = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard"})
        session = boto3.Session(region_name=region)
        self._cloudformation: Any = session.client("cloudformation", config=options)
        self._cloudwatch: Any = session.client("cloudwatch", config=options)
        self._s3: S3Client = session.client("s3", config=options)

    def deploy(self, stack: str) -> DeployedMirror:
        """Deploy what `make build` built, its code in a bucket that belongs to this stack alone.

        Raises:
            SmokeError: SAM did not deploy it; SAM's output says why.
        """
        artifacts = _artifacts(stack)
        location: Any = {}
        if self._region != "us-east-1":  # which S3 does not accept here ("CreateBucket")
            location = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        self._s3.create_bucket(Bucket=artifacts, **location)
        command = [
            *(str(CHECKOUT / ".venv-sam/bin/sam"), "deploy", "--template", str(_BUILT)),
            *("--config-file", os.devnull, "--region", self._region),
            *("--stack-name", stack, "--s3-bucket", artifacts),
            *("--capabilities", "CAPABILITY_IAM", "--on-failure", "DELETE"),
            *("--no-confirm-changeset", "--no-progressbar"),
        ]
        try:
            subprocess.run(command, cwd=CHECKOUT, check=True, timeout=_DEPLOY_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            msg = f"sam deploy of {stack!r}: {error}"
            raise SmokeError(msg) from error
        (deployed,) = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in deployed.get("Outputs", [])}
        alarms = self._resources(stack, "AWS::CloudWatch::Alarm")
        return DeployedMirror(
            url=outputs["IndexUrl"].removesuffix("/simple/"),
            alarm_states=lambda: self._alarm_states(alarms),
        )

    def delete(self, stack: str) -> None:
        """Delete the stack, its buckets, which it would leave, and the bucket of its code."""
        stacks = self._cloudformation.describe_stacks()["Stacks"]
        ids = [found["StackId"] for found in stacks if found["StackName"] == stack]
        for id_ in ids:  # none if SAM did not get that far
            self._delete_stack(id_)
        self._delete_bucket(_artifacts(stack))

    def _delete_stack(self, id_: str) -> None:
        # A deleted stack is found by its id alone ("DeleteStack" in the CloudFormation API).
        buckets = self._resources(id_, "AWS::S3::Bucket")
        self._cloudformation.delete_stack(StackName=id_)
        self._cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=id_,
            WaiterConfig={
                "Delay": _POLL_SECONDS,
                "MaxAttempts": _DELETE_SECONDS // _POLL_SECONDS,
            },
        )
        for bucket in buckets:  # only now, when no function writes any more
            self._delete_bucket(bucket)

    def _resources(self, stack: str, kind: str) -> list[str]:
        pages = self._cloudformation.get_paginator("list_stack_resources")
        return [
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=stack)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == kind
        ]

    def _alarm_states(self, names: list[str]) -> dict[str, str]:
        alarms = self._cloudwatch.describe_alarms(AlarmNames=names, MaxRecords=100)
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms["MetricAlarms"]}

    def _delete_bucket(self, bucket: str) -> None:
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if versions:
                    objects: Any = [
                        {"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions
                    ]
                    self._s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
            self._s3.delete_bucket(Bucket=bucket)
        except self._s3.exceptions.NoSuchBucket:
            return


def _artifacts(stack: str) -> str:
    return f"{stack}-artifacts"

"""The CloudFormation template that SAM makes of ours, with all that it adds."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Build

# The environment of the tests does not have SAM.
TRANSLATE = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

with open(sys.argv[1]) as file:
    template = yaml_parse(file)
for resource in template["Resources"].values():  # `sam deploy` uploads it
    for uri in resource["Properties"].keys() & {"CodeUri", "ContentUri"}:
        resource["Properties"][uri] = "s3://bucket/key"
print(json.dumps(Translator({}, Parser()).translate(template, {})))
"""


@pytest.fixture(scope="module")
def resources(build: Build) -> dict[str, Any]:
    translated = subprocess.run(
        [CHECKOUT / ".venv-sam/bin/python", "-c", TRANSLATE, build.template],
        env={"AWS_DEFAULT_REGION": "us-east-1"},
        check=True,
        capture_output=True,
        text=True,
    )
    resources: dict[str, Any] = json.loads(translated.stdout)["Resources"]
    return resources


def referenced(value: Any) -> Iterator[str]:
    """Yield what a value refers to."""
    if isinstance(value, list):
        for item in value:
            yield from referenced(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.partition(".")[0]
            elif key == "Fn::Sub" and isinstance(item, str):
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", item)
            elif key == "DependsOn":
                yield from [item] if isinstance(item, str) else item
            else:
                yield from referenced(item)


def test_nothing_writes_to_the_bucket_while_a_creation_may_fail(resources: dict[str, Any]) -> None:
    """Otherwise a failed deployment could not delete the bucket."""
    schedules, alarms = (
        {id_ for id_, resource in resources.items() if resource["Type"] == kind}
        for kind in ("AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm")
    )
    for schedule in schedules:
        created, pending = set[str](), [schedule]
        while pending:
            id_ = pending.pop()
            if id_ in resources and id_ not in created:
                created.add(id_)
                pending += referenced(resources[id_])
        assert created | schedules | alarms == resources.keys()


def test_sam_passes_on_that_workers_may_continue_their_own_jobs(resources: dict[str, Any]) -> None:
    assert resources["WorkerFunction"]["Properties"]["RecursiveLoop"] == "Allow"

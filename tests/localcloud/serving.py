"""What the template makes of its parameter ServeFrom."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from localcloud.environment import CHECKOUT
from localcloud.template import NO_VALUE, Resolver, read_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": NO_VALUE,
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/mirror/uuid",
    "AWS::StackName": "mirror",
    "AWS::URLSuffix": "amazonaws.com",
}


class RuleBroken(Exception):
    """CloudFormation would refuse the parameters."""


@dataclass(frozen=True)
class Serving:
    """The resources and outputs that exist, with all values resolved."""

    resources: Mapping[str, Any]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, bucket: str = "bucket", **parameters: str) -> Serving:
        """Resolve the template. A reference to what does not exist is a TemplateError."""
        template = read_template(CHECKOUT / "template.yaml")
        defaults = {name: str(each["Default"]) for name, each in template["Parameters"].items()}
        references: dict[str, Any] = {**PSEUDO_PARAMETERS, **defaults, **parameters}
        attributes: dict[tuple[str, str], str] = {}
        resolver = Resolver(
            references=references,
            attributes=attributes,
            mappings=template.get("Mappings", {}),
            conditions=template["Conditions"],
        )

        def existing(section: str) -> dict[str, Any]:
            return {
                id_: each
                for id_, each in template[section].items()
                if "Condition" not in each or resolver.condition(each["Condition"])
            }

        for rule in template["Rules"].values():
            if resolver.resolve(rule["RuleCondition"]):
                for each in rule["Assertions"]:
                    if not resolver.resolve(each["Assert"]):
                        raise RuleBroken(each["AssertDescription"])
        resources = existing("Resources")
        references |= {id_: id_ for id_ in resources} | {"MirrorBucket": bucket}
        attributes |= {
            (id_, name): f"{id_}.{name}" for id_, name in _named(template) if id_ in resources
        }
        attributes |= {
            ("MirrorBucket", "Arn"): f"arn:aws:s3:::{bucket}",
            ("MirrorBucket", "WebsiteURL"): f"http://{bucket}.s3-website-us-east-1.amazonaws.com",
        }
        return cls(
            {id_: resolver.resolve(each.get("Properties", {})) for id_, each in resources.items()},
            {id_: resolver.resolve(each["Value"]) for id_, each in existing("Outputs").items()},
        )

    @property
    def bucket(self) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.resources["MirrorBucket"]
        return properties

    @property
    def policy(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = self.resources["MirrorBucketPolicy"]["PolicyDocument"]
        return document

    def effects(self, action: str, resource: str, *, secure: bool) -> set[str]:
        """Return the effects of the statements that match a request of nobody in particular."""
        return {
            statement["Effect"]
            for statement in self.policy["Statement"]
            if statement["Principal"] == "*"
            and _covers(statement, "Action", action)
            and _covers(statement, "Resource", resource)
            and statement.get("Condition", NOT_SECURE) == NOT_SECURE
            and not (secure and "Condition" in statement)
        }

    def everybody_may(self, action: str, resource: str, *, secure: bool = False) -> bool:
        return self.effects(action, resource, secure=secure) == {"Allow"}


NOT_SECURE = {"Bool": {"aws:SecureTransport": "false"}}


def _named(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that a template names, each with its resource."""
    for found in re.finditer(
        r'"Fn::GetAtt": \["(\w+)", "([\w.]+)"\]|\$\{(\w+)\.([\w.]+)\}', json.dumps(template)
    ):
        yield found[1] or found[3], found[2] or found[4]


def _covers(statement: Mapping[str, Any], name: str, value: str) -> bool:
    patterns = statement.get(name, statement.get(f"Not{name}"))
    listed = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(value, pattern) for pattern in listed) == (name in statement)

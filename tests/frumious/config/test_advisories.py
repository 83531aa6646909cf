"""`[advisories]`: what it accepts, and what it says of mistakes."""

from __future__ import annotations

import calendar
import re

import pytest

from frumious.config.advisories import OSV, AdvisoryPolicy
from frumious.config.loading import ConfigError, parse
from frumious.model.advisories import Action, Severity
from localcloud.environment import CHECKOUT


def policy_of(section: str) -> AdvisoryPolicy | None:
    config = parse(f"[mirror]\ndirectory = /mirror\n{section}", {})
    assert not config.warnings
    return config.advisories


def required(section: str) -> AdvisoryPolicy:
    policy = policy_of(section)
    assert policy is not None
    return policy


def test_the_feed_is_followed_only_with_a_section() -> None:
    assert policy_of("") is None
    assert policy_of("[advisories]\nenabled = false") is None
    policy = required("[advisories]")
    assert (policy.feed, policy.every) == (OSV, 3600)
    assert [each for each in Severity if policy.action_of(each) is not Action.IGNORE] == ["malware"]


def test_the_example_of_the_documentation() -> None:
    text = (CHECKOUT / "docs/configuration.md").read_text()
    (example,) = re.findall(r"```ini\n(\[advisories\]\n.+?)```", text, re.DOTALL)
    policy = required(example)

    assert policy.action_of(Severity.CRITICAL) is Action.BLOCK
    assert policy.action_of(Severity.HIGH) is Action.REPORT
    assert policy.action_of(Severity.MEDIUM) is Action.IGNORE
    first, second, third = policy.waivers
    assert (first.advisory, first.project) == ("GHSA-2c2j-9gv5-cj73", "")
    assert (second.project, second.versions) == ("demo", "==1.0")
    assert (third.advisory, third.project, third.versions) == ("", "other", ">=2")
    end = calendar.timegm((2027, 1, 1, 0, 0, 0))
    assert first in policy.waivers_at(end - 1)
    assert first not in policy.waivers_at(end), "the last day is over"


def test_one_severity_has_its_own_action() -> None:
    policy = required("[advisories]\npolicy = severity >= high\nhigh = report\nunknown = block\n")

    assert policy.action_of(Severity.CRITICAL) is Action.BLOCK
    assert policy.action_of(Severity.HIGH) is Action.REPORT
    assert policy.action_of(Severity.UNKNOWN) is Action.BLOCK


@pytest.mark.parametrize(
    "line",
    [
        "feed = http://osv.example/all.zip",
        "feed = ftp://osv.example/all.zip",
        "feed = s3://bucket",
        "feed = all.zip",
        "every = 1",
        "every = 1s",
        "policy = severity > high",
        "policy = severity >= terrible",
        "policy = severity >= high allow",
        "malware = maybe",
        "exceptions = MAL-2026-1",
        "exceptions = MAL-2026-1 until tomorrow",
        "exceptions = MAL-2026-1 until 2026-02-30",
        "exceptions = demo >< 1 until 2026-02-03",
        "max-blocked = 5",
        "max-shrinking = 500%",
    ],
)
def test_mistakes_name_the_option(line: str) -> None:
    key = line.partition(" ")[0]
    with pytest.raises(ConfigError, match=re.escape(f"[advisories] {key}")):
        policy_of(f"[advisories]\n{line}")

"""`[attestations]` of mirror.conf."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.config.attestations import Mode
from frumious.config.loading import ConfigError, parse

if TYPE_CHECKING:
    from frumious.config.attestations import AttestationPolicy


def policy(section: str) -> AttestationPolicy:
    text = (
        f"[mirror]\ndirectory = /srv/mirror\n[attestations]\ntrust-root = /etc/root.json\n{section}"
    )
    found = parse(text, {}).attestations
    assert found is not None
    return found


def test_names_and_patterns_say_what_follows_for_a_project() -> None:
    found = policy("report = *\nrequire =\n  Demo_Project # ours\n  acme-*")
    modes = {
        name: found.mode(canonicalize_name(name)) for name in ("demo-project", "acme-x", "other")
    }
    assert found.trust_root == Path("/etc/root.json")
    assert modes == {"demo-project": Mode.REQUIRE, "acme-x": Mode.REQUIRE, "other": Mode.REPORT}
    assert policy("report = demo").mode(canonicalize_name("other")) is None


def test_publishers_are_repositories_or_workflows() -> None:
    found = policy("require = demo\npublishers =\n demo github.com/Example/demo\n d gitlab.com/a/b")
    demo = canonicalize_name("demo")
    assert found.accepts(demo, "github.com/example/demo/release.yml", ())
    assert not found.accepts(demo, "github.com/example/demo2/release.yml", ())
    assert not found.accepts(demo, "gitlab.com/a/b//ci.yml", ())
    assert found.accepts(canonicalize_name("d"), "gitlab.com/a/b//.gitlab-ci.yml", ("x",))


def test_each_rule_changes_the_fingerprint_of_its_projects_alone() -> None:
    demo, other = canonicalize_name("demo"), canonicalize_name("other")
    rules = [
        "report = demo",
        "require = demo",
        "require = demo\npublishers = demo github.com/a/b",
        "require = demo\nexceptions = demo < 2",
        "require = demo\nexceptions = demo < 3",
    ]
    assert len({policy(rule).rules_fingerprint(demo) for rule in rules}) == len(rules)
    assert {policy(rule).rules_fingerprint(other) for rule in rules} == {""}
    assert {policy(rule).pages_fingerprint for rule in rules} == {""}
    assert policy("report = *").pages_fingerprint != policy("require = *").pages_fingerprint


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("", "names no project"),
        ("requires = demo", "is unknown; must be trust-root, report, require"),
        ("require = ../demo", "is not a project's name"),
        ("require = demo\ntrust-root =", "trust-root is missing"),
        ("require = demo\npublishers = demo", "is not a project and a publisher"),
        ("require = demo\npublishers = demo example/demo", "is not a project and a publisher"),
        ("require = demo\nexceptions = demo =< 2", "exceptions"),
    ],
)
def test_mistakes_are_errors(section: str, mistake: str) -> None:
    text = "[mirror]\ndirectory = /srv/mirror\n[attestations]\n"
    trust_root = "" if "trust-root" in section else "trust-root = /etc/root.json\n"
    with pytest.raises(ConfigError, match=mistake) as caught:
        parse(f"{text}{trust_root}{section}", {})
    assert "has no effect" not in str(caught.value), "one line for one slip"

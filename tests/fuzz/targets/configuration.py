"""What operators enter: mirror.conf, access tokens, events of the planner."""

from __future__ import annotations

import json
from contextlib import suppress

from frumious.access.tokens import Token, TokenError
from frumious.config.filters import Required
from frumious.config.loading import ConfigError, parse
from frumious.locks.parse import InvalidList, parse_list
from frumious.model import layout
from frumious.model.lists import Lists, LockedList, TopList
from frumious.planning.list_sources import ListUnreadable
from frumious.planning.lists import parse_requirements
from frumious.planning.named import InvalidProject
from frumious.planning.plan import plan_projects
from frumious.pythons.listing import InvalidList as InvalidBuilds
from frumious.pythons.listing import parse as parse_builds
from frumious.pythons.listing import render as render_builds
from frumious.pythons.listing import select
from frumious.selection.locks import LockedReleases
from frumious.selection.required import UnreadRequirements
from frumious.selection.top import parse_counts
from frumious.selection.unread import ListsUnread
from frumious.state.objects import render
from frumious_lambda.planner_event import InvalidEvent, parse_event
from tests.fuzz.targets.checks import PROJECT, check_key, check_project, read_back


def mirror_conf(data: bytes) -> None:
    """The file mirror.conf."""
    try:
        config = parse(data.decode("utf-8", "replace"), {})
    except ConfigError:
        return
    with suppress(ListsUnread):
        assert isinstance(config.selection.with_lists(Lists()).wants(PROJECT), bool)
    assert config.directory or config.bucket


def lock_file(data: bytes) -> None:
    """A lock file of any tool."""
    _list("any.lock", data)


def requirements_file(data: bytes) -> None:
    """A requirements file."""
    _list("any.txt", data)


def _list(name: str, data: bytes) -> None:
    try:
        found = parse_list(name, data, ["https://upstream.example"])
    except InvalidList:
        return
    for project in found.pins:
        check_project(project)
        rules = LockedReleases.of_pins(found.pins, by_file=True).rules_of(project)
        assert rules
    locked = LockedList(source=name, pins=found.pins, left_out=tuple(found.left_out))
    assert render(Lists(lists=(locked,)))


def required_list(data: bytes) -> None:
    """A requirements file at an address of `[allowlist] requirements`."""
    try:
        found = parse_requirements("list", data)
    except ListUnreadable:
        return
    lists = Lists(requirements=(found,))
    assert read_back(layout.LISTS, render(lists), Lists) == lists
    projects = UnreadRequirements(Required()).resolved(lists)
    assert projects is not None
    assert projects.projects


def download_counts(data: bytes) -> None:
    """A list of download counts."""
    try:
        projects = parse_counts(data)
    except ValueError:
        return
    lists = Lists(top=(TopList(source="list", projects=projects),))
    assert read_back(layout.LISTS, render(lists), Lists) == lists
    for project in projects:
        check_project(project)


def python_builds(data: bytes) -> None:
    """A list of builds of Python."""
    try:
        builds, _ = select(parse_builds(data, "list"), None)
    except InvalidBuilds:
        return
    for key in builds:
        check_key(key, layout.PYTHON_BUILDS)
    again, problems = select(parse_builds(render_builds(builds.values()), "list"), None)
    assert {*again} == {*builds}
    assert not problems


def token(data: bytes) -> None:
    """An entry of the token store."""
    try:
        record = Token.from_json("name", data.decode("utf-8", "replace"))
    except TokenError:
        return
    assert isinstance(record.expired(1_800_000_000.0), bool)
    assert Token.from_json("name", record.to_json()) == record


def planner_event(data: bytes) -> None:
    """An event that somebody sends to the planner."""
    try:
        event = json.loads(data)
        parse_event(event)
        plan = plan_projects(event.get("projects") or ())
    except (ValueError, RecursionError, InvalidEvent, InvalidProject):  # AWS accepts only JSON
        return
    for project in plan.jobs:
        check_project(project)


TARGETS = (
    mirror_conf,
    lock_file,
    requirements_file,
    required_list,
    download_counts,
    python_builds,
    token,
    planner_event,
)

"""One bad value of upstream's is the affair of one project: all others go on, tick after tick."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape
from xmlrpc.client import loads

import pytest

from tests.upstream import NO_CHANGELOG, Action, Edit, Fault, Raw, Wire, wheel
from tests.upstream.messages import Response

if TYPE_CHECKING:
    from tests.upstream import Index
    from tests.upstream.messages import Request
    from tests.world import World

DAY: Final = 24 * 3600
MEGABYTE: Final = 2**20


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: Final[dict[str, Any]] = {
    "nul": "bad\0",
    "control-characters": "b\x01a\r\nd\x1f",
    "surrogate": "bad\udc80",
    "megabyte": "b" * MEGABYTE,
    "long-but-short-when-normalised": f"ba{'-' * MEGABYTE}d",
    "empty": "",
    "path": "../../cursor",
    "text-number": "7",
    "digits": "9" * 5000,
    "negative": -1,
    "beyond-31-bits": 2**31,
    "beyond-63-bits": 2**63,
    "beyond-64-bits": 10**30,
    "float": 1.5,
    "nan": math.nan,
    "inf": math.inf,
    "minus-inf": -math.inf,
    "huge-float": 1e300,
    "bool": True,
    "null": None,
    "list": [["bad"]],
    "object": {"name": "bad"},
    "nested": nested(200),
}
NOT_JSON: Final = {
    "nan",
    "inf",
    "minus-inf",
    "beyond-63-bits",
    "beyond-64-bits",
}  # for the parser in C


def xml(value: object) -> str:  # noqa: PLR0911 (one for each kind)
    """Write a value as XML-RPC, also where that is not allowed."""
    match value:
        case None:
            return "<value><nil/></value>"
        case bool():
            return f"<value><boolean>{int(value)}</boolean></value>"
        case int():
            return f"<value><int>{value}</int></value>"
        case float():
            return f"<value><double>{value!r}</double></value>"
        case str():
            return f"<value><string>{escape(value)}</string></value>"
        case list() | tuple():
            return f"<value><array><data>{''.join(map(xml, value))}</data></array></value>"
        case dict():
            members = "".join(
                f"<member><name>{k}</name>{xml(v)}</member>" for k, v in value.items()
            )
            return f"<value><struct>{members}</struct></value>"
        case _:
            raise TypeError(value)


def xml_response(value: object) -> Response:
    text = f"<methodResponse><params><param>{xml(value)}</param></params></methodResponse>"
    return Response.of(text.encode(errors="surrogateescape"), "text/xml")


@dataclass(frozen=True)
class ChangelogWith(Action):
    """Add rows to the changelog that the index has, wherever a mirror begins to read."""

    index: Index
    added: list[Any]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        if request.rpc != "changelog_since_serial":
            return response
        arguments: tuple[Any, ...] = loads(request.body)[0]
        rows = [list(row) for row in self.index.changes_since(arguments[0])]
        return xml_response([*self.added, *rows])


@dataclass(frozen=True)
class WithHeader(Action):
    """Add a header to a response."""

    name: str
    value: str

    def rewrite_response(self, response: Response, request: Request) -> Response:
        lines = {name: value for name, value in response.headers.items() if name != self.name}
        raw = Raw(response.status, {**lines, self.name: self.value}, b"".join(response.body()))
        return raw.rewrite_response(response, request)


def check_that_others_go_on(world: World, *faults: Fault) -> None:
    """Let projects change three times while upstream has the faults, and once without."""
    bad = {fault.project or "bad" for fault in faults}
    upload(world, "1.0", "good", *bad)
    world.mirror_run()
    for fault in faults:
        world.upstream.faults.add(fault)
    for version, pause in (("1.1", 301), ("1.2", DAY + 1), ("1.3", 301)):
        upload(world, version, "good", *bad)
        world.clock.advance(pause)
        world.plan()
        world.work(last=True)
        world.finalize()
        world.clock.advance(121)
        world.finalize()
        assert version in world.page("good")["versions"]
        status = json.loads(world.read("web/status.json"))
        assert all(project[0] in {"b", "7"} for project in status["lagging"])
        assert status["serial"] == world.index.serial
    world.upstream.faults.clear()
    upload(world, "1.4", *bad)
    world.clock.advance(DAY + 1)
    world.retry()
    world.mirror_run()
    assert all("1.4" in world.page(project)["versions"] for project in bad)
    lagging = json.loads(world.read("web/status.json"))["lagging"]
    assert not bad & lagging.keys()


def upload(world: World, version: str, *projects: str) -> None:
    for project in projects:
        world.index.upload(wheel(project, version))


@pytest.mark.parametrize("field", ["name", "timestamp", "action", "serial", "row"])
def test_bad_values_in_the_changelog(world: World, field: str) -> None:
    row = {"name": "bad", "version": "1.0", "timestamp": 1, "action": "new release", "serial": 5}
    values = [
        value
        for value in VALUES.values()
        if field != "serial" or type(value) is not int or not 0 < value < 10**18
    ]
    rows = [value if field == "row" else [*{**row, field: value}.values()] for value in values]

    check_that_others_go_on(world, Fault(ChangelogWith(world.index, rows), "/pypi"))


def test_serials_beyond_xml_rpc_s_integers(world: World) -> None:
    row = ["late", "1.0", 1, "new release", 2**33 + 1]
    world.upstream.faults.add(Fault(ChangelogWith(world.index, [row]), "/pypi"))

    found = world.run(lambda mirror: mirror.upstream.changes_since(2**33))

    assert (found.projects, found.serial) == ({"late": 2**33 + 1}, 2**33 + 1)


@pytest.mark.parametrize("field", ["name", "_last-serial", "entry"])
@pytest.mark.parametrize("changelog", [True, False])
def test_bad_values_in_the_root_index(world: World, field: str, *, changelog: bool) -> None:
    if not changelog:
        world.upstream.personality = NO_CHANGELOG

    def change(payload: dict[str, Any]) -> None:
        for name, value in VALUES.items():
            if name == "nested":
                continue  # the whole index is refused: parsing it would take quadratic time
            if field == "_last-serial":
                payload["projects"].append({"name": f"bad-{name}", field: value})
            elif name not in NOT_JSON:
                payload["projects"].append(value if field == "entry" else {"name": value})
        payload["projects"] += [{"name": f"b-{number}"} for number in range(len(VALUES))]

    check_that_others_go_on(world, Fault(Edit(change), re.compile("^/simple/$")))


@pytest.mark.parametrize("name", ["negative", "beyond-64-bits", "nan", "nested"])
def test_a_bad_serial_of_the_root_index(world: World, name: str) -> None:
    def change(payload: dict[str, Any]) -> None:
        payload["meta"]["_last-serial"] = VALUES[name]

    check_that_others_go_on(world, Fault(Edit(change), re.compile("^/simple/$")))


def test_a_root_index_that_is_not_one_does_not_stop_the_changelog(world: World) -> None:
    check_that_others_go_on(world, Fault(Raw(body=b"{"), re.compile("^/simple/$")))


HEADERS: Final = {
    "ETag": ['"\x01\x1f"', '"\udcff\udcfe"', f'"{"e" * 5000}"', '"a\tb"'],
    "X-PyPI-Last-Serial": ["-1", "9" * 4500, "1e999", "\udcff", "\uff17"],
    "Retry-After": ["9" * 4500, "nan", "Fri, 99 Foo 99999 99:99:99 GMT", "\udcff"],
    "Content-Type": ["\udcff", "text/html; charset=\udcff"],
    "Content-Encoding": ["gzip", "\udcff"],
}
STATUS_LINES: Final = [b"503 \xff\xfe", b"503 " + b"x" * 7000, b"999 \x1b[31m", b"\xff"]


def test_bad_headers_and_status_lines_of_project_pages(world: World) -> None:
    actions: list[Action] = [
        WithHeader(name, value) for name, values in HEADERS.items() for value in values
    ]
    actions += [
        Wire(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        for line in STATUS_LINES
    ]
    faults = [
        Fault(action, "/simple/", project=f"bad-{number}") for number, action in enumerate(actions)
    ]

    check_that_others_go_on(world, *faults)


@pytest.mark.parametrize("value", HEADERS["ETag"])
def test_a_bad_etag_of_the_root_index(world: World, value: str) -> None:
    world.upstream.personality = NO_CHANGELOG

    check_that_others_go_on(world, Fault(WithHeader("ETag", value), re.compile("^/simple/$")))


def test_bad_values_in_project_pages(world: World) -> None:
    faults: list[Fault] = []
    for field in ("name", "versions", "status", "reason", "filename", "extra"):
        for name in ("nul", "surrogate", "megabyte", "long-but-short-when-normalised", "nested"):
            change = partial(_set, field=field, value=VALUES[name])
            faults.append(Fault(Edit(change), "/simple/", project=f"bad-{field}-{name}"))

    check_that_others_go_on(world, *faults)


def _set(payload: dict[str, Any], field: str, value: Any) -> None:
    if field == "name":
        payload["name"] = value
    elif field == "versions":
        payload["versions"].append(value)
    elif field in {"status", "reason"}:
        payload["project-status"][field] = value
    elif field == "filename":
        payload["files"].append({**payload["files"][0], "filename": value})
    else:
        payload["meta"]["x"] = payload["x"] = payload["files"][0]["x"] = value


def test_a_name_that_is_long_only_before_it_is_normalised(world: World) -> None:
    def change(payload: dict[str, Any]) -> None:
        payload["name"] = f"ba{'-' * MEGABYTE}d"

    check_that_others_go_on(world, Fault(Edit(change), "/simple/", project="ba-d"))

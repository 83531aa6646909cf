"""A response at each limit is parsed within the memory of the smallest worker."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from frumious.model import changes
from frumious.model.checkpoint import Checkpoint, render
from frumious.model.merkle import HASH_SIZE
from frumious.simple import parse_html, parse_json, root_index
from frumious.simple.values import MAX_FILES
from frumious.upstream import changelog
from frumious.upstream.upstream import MAX_PAGE_BYTES, MAX_ROOT_INDEX_BYTES
from localcloud.environment import CHECKOUT
from tests.hostile.case import html_page, json_page
from tests.hostile.parse_in_child import ORIGIN
from tests.upstream import Fault, Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.upstream import Action, Server

MAX_MEMORY: Final = 512 * 1024  # KiB
WIDE: Final = "\U0001f600"  # makes each character of a str take four bytes
_SHA256: Final = "a" * 64


def _page(files: Iterable[str] = (), extra: str = "0") -> Action:
    return json_page(
        f'{{"meta":{{"api-version":"1.4"}},"name":"demo","files":[{",".join(files)}],"x":{extra}}}'
    )


def _keys(count: int) -> str:
    return ",".join(f'"{number}":1' for number in range(count))


def _files(url: str) -> Iterable[str]:
    return (
        f'{{"filename":"demo-{number}.zip","url":"{url}","hashes":{{"sha256":"{_SHA256}"}}}}'
        for number in range(MAX_FILES)
    )


def _root(projects: Iterable[str]) -> Action:
    return json_page(f'{{"meta":{{"api-version":"1.4"}},"projects":[{",".join(projects)}]}}')


def _html(links: Iterable[str], title: str = "Links for demo", text: str = "") -> Action:
    return html_page(f"<html><title>{title}</title>{text}{''.join(links)}</html>")


def _rows(count: int, action: str = "new release") -> Action:
    return _xml(
        f"<value><array><data>\n<value><string>project-{number}</string></value>\n"
        "<value><string>1.0</string></value>\n<value><int>1700000000</int></value>\n"
        f"<value><string>{action}</string></value>\n<value><int>{number}</int></value>\n"
        "</data></array></value>\n"
        for number in range(1, count)
    )


def _xml(values: Iterable[str]) -> Action:
    body = (
        "<?xml version='1.0'?><methodResponse><params><param><value><array><data>"
        f"{''.join(values)}</data></array></value></param></params></methodResponse>"
    )
    return Raw(200, {"Content-Type": "text/xml"}, body.encode())


def _bundle(lines: Iterable[str]) -> Action:
    return Raw(200, {}, "".join(f"{line}\n" for line in lines).encode())


def _added(count: int) -> str:
    return ",".join(f'"{number}.zip":"{_SHA256}"' for number in range(count))


def _legacy(extra: str) -> Action:
    return json_page(f'{{"info":{{"name":"demo"}},"x":{extra}}}')


_VALUES: Final = parse_json._MAX_VALUES - 20
_ROOT_NAMES: Final = range(root_index._MAX_VALUES // 3 - 10)
_ROOT_LINKS: Final = range(parse_html._MAX_ROOT_MARKUP // 3 - 10)

CASES: dict[str, tuple[str, Callable[[], Action], str | None]] = {
    "text": ("page", lambda: _page(extra=f'"{"a" * (MAX_PAGE_BYTES - 200)}"'), None),
    "wide-text": (
        "page",
        lambda: _page(extra=f'"{WIDE}{"a" * (MAX_PAGE_BYTES // 2 - 200)}"'),
        None,
    ),
    "keys": (
        "page",
        lambda: _page(extra=f'{{{_keys(_VALUES)},"z":"{"a" * (MAX_PAGE_BYTES // 2)}"}}'),
        None,
    ),
    "wide-keys": (
        "page",
        lambda: _page(extra=f'{{{_keys(_VALUES)},"z":"{WIDE}{"a" * (MAX_PAGE_BYTES // 6)}"}}'),
        None,
    ),
    "objects": (
        "page",
        lambda: _page(extra=f"[{','.join(['{}'] * (_VALUES // 2))}]"),
        None,
    ),
    "files": ("page", lambda: _page(_files("u" * 450)), None),
    "refused-files": (
        "page",
        lambda: _page(f'{{"filename":"{str(number) * 40}"}}' for number in range(MAX_FILES)),
        None,
    ),
    "too-many-files": ("page", lambda: _page(map(str, range(MAX_FILES + 1))), "InvalidPage"),
    "too-wide-text": (
        "page",
        lambda: _page(extra=f'"{WIDE}{"a" * (MAX_PAGE_BYTES // 2)}"'),
        "InvalidPage",
    ),
    "html-files": (
        "page",
        lambda: _html(
            f'<a href="demo-{number}.zip#sha256={_SHA256}"><b>demo-{number}.zip</b></a>&gt;\n'
            for number in range(MAX_FILES)
        ),
        None,
    ),
    "html-attributes": (
        "page",
        lambda: _html(
            f"<a href={number}.zip a={number} b={number} c={number} d={number} e={number}>"
            for number in range(MAX_FILES - 10)
        ),
        None,
    ),
    "html-one-tag": ("page", lambda: _html((f"<a {'b ' * 4_000_000}>",)), "InvalidPage"),
    "html-wide-text": (
        "page",
        lambda: _html((), text=WIDE + "a" * (MAX_PAGE_BYTES // 2 - 200)),
        None,
    ),
    "html-long-base": (
        "page",
        lambda: _html(
            (
                f"<base href='/{'b' * 8000}/'>",
                *(f"<a href={number}.zip></a>" for number in range(MAX_FILES)),
            )
        ),
        "InvalidPage",
    ),
    "root-index": (
        "root",
        lambda: _root(
            f'{{"name":"a-project-{n}","_last-serial":{10**7 + n}}}' for n in _ROOT_NAMES
        ),
        None,
    ),
    "root-index-long-names": (
        "root",
        lambda: _root(
            f'{{"name":"{str(n) * (MAX_ROOT_INDEX_BYTES // 1_200_000 // 10)}"}}'
            for n in range(1_000_000, 2_200_000)
        ),
        None,
    ),
    "html-root-index": (
        "root",
        lambda: _html(
            (f'<a href="/simple/a-project-{n}/">a-project-{n}</a><br/>\n' for n in _ROOT_LINKS),
            title="Simple index",
        ),
        None,
    ),
    "changelog": (
        "changelog",
        lambda: _rows(changelog.MAX_ROWS, "add py3 file " + "f" * 200),
        None,
    ),
    "changelog-dates": (
        "changelog",
        lambda: _xml(
            ["<value><dateTime.iso8601>20260101T00:00:00</dateTime.iso8601></value>"]
            * (changelog._MAX_BYTES // 75)
        ),
        "UpstreamUnavailable",
    ),
    "changelog-lines": (
        "changelog",
        lambda: _xml(["<value>", WIDE, "a\n" * (changelog._MAX_BYTES // 2 - 200), "</value>"]),
        "UpstreamUnavailable",
    ),
    "changelog-elements": (
        "changelog",
        lambda: _xml(["<value/>"] * changelog._MAX_ELEMENTS),
        "UpstreamUnavailable",
    ),
    "changelog-nested": (
        "changelog",
        lambda: _xml(["<value><array><data>" * 100_000, "</data></array></value>" * 100_000]),
        "UpstreamUnavailable",
    ),
}

_ENTRY: Final = '{"project":"demo","outcome":"updated","run":"20260101T000000-1",'
_VALUES_AT_LIMITS: Final = {
    "objects": lambda: _legacy(f"[{','.join(['{}'] * (_VALUES // 2))}]"),
    "keys": lambda: _legacy(f"{{{_keys(_VALUES)}}}"),
    "wide-text": lambda: _legacy(f'"{WIDE}{"a" * (16 * 1024**2 - 500)}"'),
}
CASES |= {
    "feed-lines": (
        "feed",
        lambda: _bundle("xx" for _ in range(changes.MAX_BUNDLE_BYTES // 3)),
        "InvalidEntry",
    ),
    "feed-files": (
        "feed",
        lambda: _bundle(f'{_ENTRY}"added":{{{_added(3000)}}}}}' for _ in range(256)),
        "InvalidFeed",
    ),
    **{
        f"{kind}-{name}": (kind, _VALUES_AT_LIMITS[name], error)
        for kind, name, error in (
            ("legacy", "objects", None),
            ("legacy", "keys", None),
            ("legacy", "wide-text", None),
            ("provenance", "objects", "InvalidPage"),
            ("provenance", "wide-text", "InvalidPage"),
            ("builds", "objects", "InvalidList"),
            ("builds", "keys", None),
            ("builds", "wide-text", "InvalidList"),
        )
    },
    "builds-too-many-values": (
        "builds",
        lambda: _legacy(f"[{','.join(['{}'] * (MAX_PAGE_BYTES // 3 - 20))}]"),
        "InvalidList",
    ),
}


_QUICK: Final = {
    "too-many-files",
    "too-wide-text",
    "html-long-base",
    "html-one-tag",
    "changelog-nested",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=() if name in _QUICK else pytest.mark.whole) for name in CASES],
)
def test_a_response_at_a_limit_takes_less_than_512_mib(upstream: Server, case: str) -> None:
    kind, action, error = CASES[case]

    printed = _read(upstream, kind, action())

    assert printed[:-1] == ([] if error is None else [error])
    assert int(printed[-1]) < MAX_MEMORY


@pytest.mark.timeout(600)
@pytest.mark.whole
def test_several_pages_at_a_limit_take_less_than_1_gib(upstream: Server) -> None:
    printed = _read(upstream, "pages", CASES["keys"][1]())

    assert len(printed) == 1
    assert int(printed[0]) < 1024 * 1024, "a worker has 1,769 MB by default"


def _read(upstream: Server, kind: str, action: Action) -> list[str]:
    """Read a response in a process of its own, and return what that prints."""
    checkpoint = Checkpoint(ORIGIN, 256, bytes(HASH_SIZE))
    upstream.faults.add(Fault(Raw(200, {}, render(checkpoint)), "/changes/checkpoint"))
    upstream.faults.add(Fault(action))
    command = [sys.executable, "-m", "tests.hostile.parse_in_child", upstream.url, kind]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}/shared:{CHECKOUT}"}
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout.split()

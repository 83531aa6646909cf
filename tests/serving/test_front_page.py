"""The page for people in Chromium: on the local stack, behind nginx and below a prefix."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from frumious.finalizing.front_page import PAGE
from localcloud import LocalCloud
from tests.localcloud.conftest import ignore_line, make_checkout
from tests.servers.loopback import LoopbackServer
from tests.serving.browser import chromium
from tests.serving.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.servers

HOUR = 3600
EVIL = "<img src=x onerror=alert(1)>"
PROJECT_PAGES = ("simple/six/index.html", "simple/zope-interface/index.html")
JSON_PAGE = "simple/only-json/index.v1_json"


def utc(ago: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def status(**changes: Any) -> dict[str, Any]:
    """Return the status of a mirror that is up to date, but for the changes."""
    return {
        "serial": 36210482,
        "upstream_serial": 36210482,
        "lag_seconds": 30,
        "lag_serials": 0,
        "updated": utc(50),
        "checked": utc(60),
        "projects": 742310,
        "files": 18204551,
        "bytes": 29812345678901,
        "lagging": {},
        "runs": [],
        **changes,
    }


def lagging(project: str = "numpy", reason: str = "upstream answers 503") -> dict[str, Any]:
    return {project: {"reason": reason, "attempts": 3, "serial": 7, "due": utc(-1550)}}


@dataclass(frozen=True)
class Site:
    """A mirror with the page; `put` writes what is below `web/`, None deletes it."""

    url: str  # of the page
    put: Callable[[str, bytes | None, str], None]
    requested: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def put_status(self, body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.put("status.json", None if body is None else raw, "application/json")


@contextmanager
def local_stack(folder: Path) -> Iterator[Site]:
    with LocalCloud(make_checkout(folder), on_line=ignore_line) as cloud:

        def put(path: str, body: bytes | None, kind: str) -> None:
            if body is None:
                cloud.s3.delete_object(Bucket=cloud.bucket, Key=f"web/{path}")
            else:
                cloud.s3.put_object(
                    Bucket=cloud.bucket, Key=f"web/{path}", Body=body, ContentType=kind
                )

        yield Site(f"{cloud.url}/", put)


def writer(folder: Path) -> Callable[[str, bytes | None, str], None]:
    def put(path: str, body: bytes | None, _kind: str) -> None:
        if body is None:
            (folder / path).unlink(missing_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(body)

    return put


@contextmanager
def nginx(folder: Path) -> Iterator[Site]:
    with Nginx(folder, folder / "nginx") as server:
        yield Site(f"{server.url}/", writer(folder / "web"))


@contextmanager
def prefix(folder: Path) -> Iterator[Site]:
    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {  # noqa: RUF012 (as there)
            **SimpleHTTPRequestHandler.extensions_map,
            ".v1_json": "application/vnd.pypi.simple.v1+json",
        }

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def send_head(self) -> Any:
            # It compares seconds, within which the tests write several versions.
            del self.headers["If-Modified-Since"]
            return super().send_head()

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

        def list_directory(self, _path: object) -> None:
            self.send_error(404)

    with LoopbackServer(Handler) as server:
        yield Site(f"{server.address}/some/prefix/web/", writer(folder / "some/prefix/web"))


@pytest.fixture(scope="module", params=[local_stack, nginx, prefix])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with request.param(tmp_path_factory.mktemp("site")) as site:
        site.put("index.html", PAGE, "text/html; charset=utf-8")
        for path in PROJECT_PAGES:
            site.put(path, b"<title>Links</title>", "text/html; charset=utf-8")
        site.put(JSON_PAGE, b"{}", "application/vnd.pypi.simple.v1+json")
        yield site


@pytest.fixture(scope="module")
def browser(served: Site) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(served: Site) -> Site:
    """The site of a mirror that is up to date."""
    served.put_status(status())
    served.requested.clear()
    served.messages.clear()
    return served


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A tab that has loaded nothing yet, and what it must never do."""
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        page.on("request", lambda request: site.requested.append(request.url))
        page.on("console", lambda message: site.messages.append(message.text))
        page.on("pageerror", lambda error: site.messages.append(str(error)))
        page.on("dialog", lambda dialog: site.messages.append(dialog.message))
        yield page
        own = site.url.split("/", 3)[2]
        assert {url.split("/", 3)[2] for url in site.requested if url.startswith("http")} == {own}
        # Browsers log each 404: the page asks whether something exists.
        assert [text for text in site.messages if " 404 (" not in text] == []


@pytest.mark.parametrize(
    ("changes", "verdict", "detail"),
    [
        ({}, "Up to date", "Compared with upstream 1 minute ago."),
        ({"lagging": lagging()}, "Up to date, except for 1 project", "Which, and why"),
        (
            {"lag_seconds": 9000, "lag_serials": 1812},
            "2 hours behind upstream",
            "1,812 changes to go. Compared with upstream 1 minute ago.",
        ),
        ({"updated": utc(5 * HOUR)}, "No update for 5 hours", "The mirror may have stopped."),
        (
            {"checked": utc(3 * HOUR)},
            "Upstream not reached for 3 hours",
            "What is mirrored still installs",
        ),
        (
            {"checked": None, "serial": None, "projects": 0},
            "Nothing mirrored yet",
            "not been asked",
        ),
        ({"serial": None, "projects": 0}, "Nothing mirrored yet", "The first run is under way."),
        ({"serial": None, "lag_seconds": None}, "Not complete yet", "The first run is under way."),
        (
            {"snapshots": {"served": "before", "known": {}}},
            "Rolled back to before",
            "Installers get the index as it was in that snapshot.",
        ),
        ({"snapshots": {"served": None, "known": {}}}, "Up to date", "Compared with"),
        ({"snapshots": 7}, "Up to date", "Compared with"),
        ({"updated": 7}, "Status unknown", "not in the expected format"),
    ],
)
def test_the_page_says_how_fresh_the_mirror_is(
    site: Site, page: Page, changes: dict[str, Any], verdict: str, detail: str
) -> None:
    site.put_status(status(**changes))
    page.goto(site.url)
    expect(page.get_by_role("heading", name=verdict, exact=True)).to_be_visible()
    expect(page.locator("#state")).to_contain_text(detail)


def test_the_page_says_how_much_is_mirrored(site: Site, page: Page) -> None:
    page.goto(site.url)
    expect(page.locator("dl")).to_have_text(
        "Projects 742,310 Files 18,204,551 Size 29.8 TB Serial 36210482", use_inner_text=True
    )


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (None, "Nothing mirrored yet"),
        (b"{", "Status unknown"),
        (b"[]", "Status unknown"),
        (b"null", "Status unknown"),
    ],
)
def test_without_a_status_the_page_is_of_use_too(
    site: Site, page: Page, body: bytes | None, verdict: str
) -> None:
    site.put_status(body)
    page.goto(site.url)
    expect(page.get_by_role("heading", name=verdict)).to_be_visible()
    expect(page.get_by_text(f"pip config set global.index-url {site.url}simple/")).to_be_visible()
    expect(page.locator("#figures")).to_be_hidden()


def test_the_readers_clock_does_not_matter(site: Site, page: Page) -> None:
    page.clock.set_fixed_time(time.time() + 30 * HOUR)
    page.goto(site.url)
    expect(page.get_by_role("heading", name="Up to date")).to_be_visible()


def test_an_open_page_follows_the_mirror(site: Site, page: Page) -> None:
    page.clock.install()
    page.goto(site.url)
    expect(page.get_by_role("heading", name="Up to date")).to_be_visible()
    site.put_status(status(lagging=lagging()))
    page.clock.run_for(61_000)
    expect(page.get_by_role("heading", name="except for 1 project")).to_be_visible()
    expect(page.get_by_role("row", name="numpy upstream answers 503 in 25 minutes")).to_be_visible()


def test_what_status_json_contains_never_becomes_html(site: Site, page: Page) -> None:
    evil = {**lagging(EVIL, EVIL), "other": None, "more": {"reason": {"a": 1}, "due": EVIL}}
    site.put_status(status(lagging=evil, projects=EVIL, files=EVIL, bytes=EVIL, serial=EVIL))
    page.goto(site.url)
    expect(page.get_by_role("rowheader", name=EVIL)).to_be_visible()
    expect(page.get_by_role("cell", name=EVIL)).to_be_visible()
    assert page.locator("img").count() == 0


def test_of_many_lagging_projects_some_are_shown(site: Site, page: Page) -> None:
    many = {f"project-{number}": lagging("x")["x"] for number in range(5000)}
    site.put_status(status(lagging=many))
    page.goto(site.url)
    expect(page.get_by_text("status.json has 4,900 more.")).to_be_visible()
    assert page.get_by_role("rowheader").count() == 100


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("six", "simple/six/"),
        (" Zope.Interface ", "simple/zope-interface/"),
        ("zope-_.interface", "simple/zope-interface/"),
        ("only-json", JSON_PAGE),
    ],
)
def test_the_search_jumps_to_the_page_of_a_project(
    site: Site, page: Page, typed: str, path: str
) -> None:
    page.goto(site.url)
    page.get_by_role("searchbox", name="Project name").fill(typed)
    page.keyboard.press("Enter")
    page.wait_for_url(site.url + path)
    assert site.url + "simple/" not in site.requested, "the root index is large"


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("missing", "missing is not mirrored here."),
        ("Missing__One", "missing-one is not mirrored here."),
        ("NumPy", "numpy is not mirrored yet: upstream answers 503"),
        ("constructor", "constructor is not mirrored here."),
        ("../state", "“../state” is not the name of a project."),
        ("six==1.0", "“six==1.0” is not the name of a project."),
        (EVIL, f"“{EVIL}” is not the name of a project."),
    ],
)
def test_the_search_says_what_is_not_mirrored(
    site: Site, page: Page, typed: str, answer: str
) -> None:
    site.put_status(status(lagging=lagging()))
    page.goto(site.url)
    expect(page.get_by_role("heading", name="except for 1 project")).to_be_visible()
    page.get_by_role("searchbox").fill(typed)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("status").filter(has_text=answer)).to_be_visible()
    assert page.url == site.url


def test_each_line_can_be_copied(site: Site, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(site.url)
    buttons = page.get_by_role("button", name="Copy")
    copied = []
    for button in buttons.all():
        button.click()
        expect(button).to_have_text("Copied")
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    index = f"{site.url}simple/"
    assert copied == [
        f"pip install --index-url {index} PROJECT",
        f"pip config set global.index-url {index}",
        f"export UV_DEFAULT_INDEX={index}",
        f'[[tool.uv.index]]\nurl = "{index}"\ndefault = true',
        f"poetry source add --priority=primary mirror {index}",
        f"pdm config pypi.url {index}",
    ]


def test_the_keyboard_reaches_everything(site: Site, page: Page) -> None:
    page.goto(site.url)
    page.get_by_role("searchbox").focus()
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
    assert reached == ["Open", *["Copy"] * 6, "All projects", "status.json", "last-modified"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_scrolls_sideways(site: Site, page: Page, scheme: Any, width: int) -> None:
    long = "x" * 300
    site.put_status(status(lagging=lagging(long, f"https://{long}")))
    page.set_viewport_size({"width": width, "height": 640})
    page.emulate_media(color_scheme=scheme)
    page.goto(site.url)
    expect(page.get_by_role("heading", name="Lagging projects")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 18, 20)") == (scheme == "dark")


def test_without_scripts_the_lines_are_there(browser: Browser, site: Site) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.url)
        expect(page.get_by_text("pip config set global.index-url https://mirror.")).to_be_visible()
        expect(page.get_by_text("Replace https://mirror.example/ with")).to_be_visible()
        expect(page.locator("#detail a")).to_have_attribute("href", "status.json")
        expect(page.get_by_role("searchbox")).to_be_hidden()


def test_an_address_without_tls_comes_with_what_pip_needs(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/*", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto("http://mirror.test/web/")
        index = "http://mirror.test/web/simple/"
        expect(
            page.get_by_text(f"pip install --index-url {index} --trusted-host mirror.test PROJECT")
        ).to_be_visible()
        expect(page.get_by_text("This address has no TLS.")).to_be_visible()
        page.get_by_role("button", name="Copy").first.click()
        expect(page.get_by_role("button", name="Copy").first).to_have_text("Copied")

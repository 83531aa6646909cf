"""Secrets are in nothing that the mirror writes: pages, status, state, logs, errors, output.

Each secret contains CANARY, which the tests look for.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from frumious import errors
from frumious.clock import Clock
from frumious.config import loading
from frumious.config.loading import ConfigError
from frumious.errors import FrumiousError, Reason
from frumious.pythons.builds import mirror_builds
from frumious.redaction import redact, redact_record
from frumious.upstream.client import Client
from frumious.upstream.failures import UpstreamUnavailable
from frumious_lambda.auditor import continue_audit
from tests.airgap.sides import pair
from tests.builds import CPYTHON
from tests.clients import get
from tests.frumious.planning.site import site
from tests.snapshots import SnapshotReader
from tests.upstream import Fault, Index, Raw, Redirect, Server, Status, sdist, wheel
from tests.upstream.actions import Edit
from tests.upstream.osv import ARCHIVE
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.upstream import Action
    from tests.world import Aws

CANARY = "hush"
SIGNATURE = f"?X-Amz-Signature={CANARY}&X-Amz-Security-Token={CANARY}"


@pytest.fixture
def private(aws: Aws, index: Index) -> Iterator[World]:
    """A mirror of an upstream with a password, whose pages have signed links."""
    index.upload(sdist("demo", "1.0"), provenance={"version": 1})
    index.upload(wheel("demo", "2.0"))
    with Server(index) as server:
        master = server.url.replace("//", f"//user:{CANARY}@")
        with World(aws, server, master=master) as world:
            yield world


def sign(page: dict[str, Any]) -> None:
    for file in page["files"]:
        file["url"] += SIGNATURE
        if file["provenance"]:
            file["provenance"] += SIGNATURE


def signed_json(world: World, path: str) -> bytes:
    """Return legacy JSON whose files have signed URLs with a login."""
    payload = json.loads(get(f"{world.upstream.url}{path}").body)
    releases = payload.get("releases", {})
    for file in itertools.chain(payload["urls"], *releases.values()):
        file["url"] = file["url"].replace("//", f"//user:{CANARY}@") + SIGNATURE
    return json.dumps(payload).encode()


def written(world: World, caplog: pytest.LogCaptureFixture) -> str:
    """Return everything that the mirror has written."""
    stored = [f"{key}: {body!r}" for key, body in world.contents().items()]
    logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    return "\n".join([*stored, *logged, repr(world.config)])


# What is written


@pytest.mark.parametrize(
    "options",
    [
        "",
        "release-files = false",
        "root_uri = https://mirror.example",
        "json = true",
        "json = true\nrelease-json = true",
    ],
)
def test_signatures_and_passwords_are_not_published(
    private: World, caplog: pytest.LogCaptureFixture, options: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="frumious")
    private.configure(options)
    private.upstream.faults.add(Fault(Edit(sign), "/simple/demo/"))
    for path in ("/pypi/demo/json", "/pypi/demo/1.0/json"):
        body = signed_json(private, path)
        private.upstream.faults.add(
            Fault(Raw(200, {"Content-Type": "application/json"}, body), path)
        )

    private.mirror_run()

    assert len(private.page("demo")["files"]) == 2
    assert bool(private.stored("web/pypi/demo/1.0/")) == ("release-json" in options)
    assert CANARY not in written(private, caplog)


@pytest.mark.parametrize(
    ("match", "action"),
    [
        ("/packages/", Status(503)),
        ("/packages/", Status(404)),
        ("/packages/", Redirect(f"https://evil.example/x{SIGNATURE}")),
        ("/packages/", Redirect(f"ftp://user:{CANARY}@evil.example/x")),
        ("/packages/", Redirect(f"https://[user:{CANARY}@evil.example/x")),
        ("/packages/", Redirect()),
        ("/packages/", Raw(200, {}, b"other bytes")),
        ("/packages/", Raw(200, {"Content-Length": "a"}, b"")),
        ("/integrity/", Raw(200, {}, b"[]")),
        ("/simple/demo/", Redirect(f"https://evil.example/{SIGNATURE}")),
        ("/simple/demo/", Status(503)),
    ],
    ids=str,
)
def test_a_failure_is_reported_without_secrets(
    private: World, caplog: pytest.LogCaptureFixture, match: str, action: Action
) -> None:
    caplog.set_level(logging.DEBUG, logger="frumious")
    private.upstream.faults.add(Fault(action, match))
    private.upstream.faults.add(Fault(Edit(sign), "/simple/demo/"))

    private.mirror_run()
    lagging = json.loads(private.read("web/status.json"))["lagging"]

    assert lagging["demo"]["reason"] in set(Reason)
    assert "127.0.0.1" not in str(lagging)
    assert CANARY not in written(private, caplog)


@pytest.mark.parametrize("filename", ["demo-3.0.tar.gz", 7])
def test_a_file_that_is_refused_is_reported_without_its_url(
    private: World, caplog: pytest.LogCaptureFixture, filename: object
) -> None:
    def add(page: dict[str, Any]) -> None:
        url = f"https://{CANARY * 40}:{CANARY}@evil.example/x{SIGNATURE}"
        page["files"].append({"filename": filename, "url": url, "hashes": {}})

    private.upstream.faults.add(Fault(Edit(add), "/simple/demo/"))

    private.mirror_run()

    page = private.page("demo")
    assert len(page["files"]) == 2
    assert set(page["meta"]["_frumious"]["refused"].values()) <= set(Reason)
    assert CANARY not in written(private, caplog)


@pytest.mark.timeout(300)
def test_no_feature_keeps_secrets(private: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="frumious")
    for version in ("2.1", "6.6.6"):
        private.index.upload(wheel("demo", version, requires=["lib"]))
    private.index.upload(wheel("lib", "1.0"), provenance={"version": 1})
    private.index.osv.add("MAL-2026-1", "demo", "6.6.6")
    for project in ("demo", "lib"):
        private.upstream.faults.add(Fault(Edit(sign), f"/simple/{project}/"))
        body = signed_json(private, f"/pypi/{project}/json")
        headers = {"Content-Type": "application/json"}
        private.upstream.faults.add(Fault(Raw(200, headers, body), f"/pypi/{project}/"))
    with site() as web:
        web.files[SECRET_LIST] = BODIES["[allowlist]"]
        address = f"{web.url.replace('//', f'//user:{CANARY}@')}{SECRET_LIST}"
        private.configure(
            f"json = true\nrelease-json = true\ndiff-file = /{private.bucket}/mirrored-files",
            "[plugins]\nenabled = project_requirements\n"
            f"[allowlist]\nrequirements = {address}\n[closure]\nclosure = true\n"
            "[cooldown]\ndays = 1\nsimple-all = true\n[changes]\nname = pypi.example.org\n"
            f"[advisories]\nfeed = {private.upstream.url}{ARCHIVE}\n",
        )
        private.clock.advance(2 * 24 * 3600)
        for _ in range(3):
            private.follow_advisories()
            private.mirror_run()
            private.clock.advance(3600)
        SnapshotReader.create(private)
        now = datetime.fromtimestamp(private.clock.now(), UTC)
        private.index.upload(wheel("demo", "9.0"), upload_time=now)
        private.mirror_run()
        private.index.yank("demo", "1.0")
        private.upstream.faults.add(Fault(Status(404), "/packages/"))
        private.index.upload(wheel("lib", "2.0"))
        private.mirror_run()
        private.run(lambda mirror: continue_audit(mirror, restart=True, deadline=0))

    kept = {key.split("/")[1] for key in private.stored("web/")}
    assert kept >= {"changes", "integrity", "packages", "pypi", "simple", "simple-all", "snapshot"}
    assert private.page("lib")["files"]
    assert "6.6.6" not in private.page("demo")["versions"]
    assert CANARY not in written(private, caplog)


def test_bundles_have_no_secrets(index: Index, tmp_path: Path) -> None:
    index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    with Server(index) as upstream:
        upstream.faults.add(Fault(Edit(sign), "/simple/demo/"))
        url = upstream.url.replace("//", f"//user:{CANARY}@")
        source, _, gap = pair(tmp_path, url)
        output = source.run("mirror") + source.run("export", "--to", str(gap), "--json")

    files = [path for folder in (gap, source.mirror) for path in folder.rglob("*")]
    bodies = [path.read_bytes() for path in files if path.is_file()]
    assert any(b"demo-1.0" in body for body in bodies)
    assert CANARY.encode() not in b"".join([output.encode(), *bodies])


def test_details_of_a_failure_are_in_the_state(private: World) -> None:
    private.upstream.faults.add(Fault(Status(404), "/packages/"))

    private.mirror_run()

    assert b"404" in private.read("state/lagging.json")
    assert json.loads(private.read("web/status.json"))["lagging"]["demo"]["reason"] == (
        "upstream lists a file that it does not serve"
    )


# Lists, feeds and builds


LISTS = {
    "[locks]": "project_locks\n[locks]\nfiles = {}\nindexes = {}",
    "[allowlist]": "project_requirements\n[allowlist]\nrequirements = {}",
    "[top]": "top_projects\n[top]\nprojects = 1\nlist = {}",
}
SECRET_LIST = f"/list.txt{SIGNATURE}"
BODIES = {
    "[locks]": f"demo==1.0\nother @ https://user:{CANARY}@files.example/x{SIGNATURE}\n",
    "[allowlist]": f"demo\n--index-url https://user:{CANARY}@index.example/simple\n",
    "[top]": '{"rows": [{"project": "demo", "download_count": 1}]}',
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_s_address_is_sent_as_it_is_and_shown_without_its_secrets(
    private: World, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="frumious")
    with site() as web:
        web.files[SECRET_LIST] = BODIES[kind]
        address = f"{web.url.replace('//', f'//user:{CANARY}@')}{SECRET_LIST}"
        lines = LISTS[kind].format(address, f"https://user:{CANARY}@index.example/simple")
        private.configure(sections=f"[plugins]\nenabled =\n  {lines}")
        private.mirror_run()
        assert private.page("demo")["files"]
        assert "Authorization" in web.requests[0]
        web.files.clear()
        private.mirror_run()  # the last good copy counts

    assert "404" in caplog.text
    assert CANARY not in written(private, caplog)


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_that_was_never_read_is_reported_without_its_secrets(
    private: World, kind: str
) -> None:
    with site() as web:
        address = f"{web.url.replace('//', f'//user:{CANARY}@')}{SECRET_LIST}"
        lines = LISTS[kind].format(address, "https://index.example/simple")
        private.configure(sections=f"[plugins]\nenabled =\n  {lines}")
        with pytest.raises(FrumiousError, match="404") as caught:
            private.mirror_run()

    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_the_published_list_of_builds_has_no_signatures(private: World) -> None:
    folder = "/astral-sh/python-build-standalone/releases/download/20251014"
    with site() as web:
        web.files[f"{folder}/a.tar.gz{SIGNATURE}"] = "build"
        signed = f"{web.url}{folder}/a.tar.gz{SIGNATURE}"
        with_login = f"{web.url.replace('//', f'//user:{CANARY * 90}@')}{folder}/b.tar.gz"
        sha256 = hashlib.sha256(b"build").hexdigest()
        entries = {
            "a": {**CPYTHON, "url": signed, "sha256": sha256},
            "b": {**CPYTHON, "url": with_login, "sha256": sha256},
            "c": {**CPYTHON, "url": f"https://x:{CANARY * 90}@a.example", "sha256": sha256},
        }
        web.files["/list.json"] = json.dumps(entries)
        private.configure(sections=f"[pythons]\nlist = {web.url}/list.json\n")
        policy = private.config.pythons
        assert policy is not None
        done = private.run(lambda mirror: mirror_builds(policy, mirror))

    assert done.builds == 1
    assert len(done.problems) == 2
    assert CANARY not in str(done)
    listed = private.read("web/python-builds/downloads.json").decode()
    assert "a.tar.gz" in listed
    assert CANARY not in listed


# Proxies


def test_a_proxy_that_refuses_is_reported_without_its_password() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def fetch() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        proxy = f"http://user:{CANARY}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        text = f"[mirror]\ndirectory = /m\nmaster = https://upstream.example\nproxy = {proxy}\n"
        client = Client(loading.parse(text, {}), Clock())
        try:
            async with client.open("https://upstream.example/simple/", headers={}):
                pass
        finally:
            await client.close()
            server.close()

    with pytest.raises(UpstreamUnavailable) as caught:
        asyncio.run(fetch())

    assert "407" in str(caught.value)
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


# The configuration


@pytest.mark.parametrize(
    "lines",
    [
        f"master = ftp://user:{CANARY}@upstream.example",
        f"master = user:{CANARY}@upstream.example",
        f"master = https://user:{CANARY}/x@upstream.example",
        f"master = https://upstream.example/?token={CANARY}",
        f"root_uri = https://user:{CANARY}@mirror.example",
        f"contact = {{{{mirror_master}}}}\nmaster = https://user:{CANARY}@upstream.example",
        f"[s3]\nendpoint_url = https://user:{CANARY}@s3.example",
        f"[swift]\nauth_url = https://user:{CANARY}@swift.example",
        f"[advisories]\nfeed = https://user:{CANARY}@feed.example/all.zip",
        f"[advisories]\nfeed = https://feed.example/all.zip?sig={CANARY}",
        f"[pythons]\nlist = https://user:{CANARY}@list.example/list.json",
        f"[pythons]\nlist = https://list.example/list.json?sig={CANARY}",
        f"[pythons]\nlist = x\nhost = https://user:{CANARY}@builds.example",
        f"[pythons]\nlist = x\nallowed-hosts = user:{CANARY}@builds.example",
        f"[locks]\nfiles = ftp://user:{CANARY}@list.example/x?sig={CANARY}",
        f"[locks]\nfiles = https:///user:{CANARY}@list.example/x",
        f"[locks]\nfiles = https://user:{CANARY}/@list.example/x",
        f"[top]\nlist = https://user:{CANARY}@[list.example/x",
        f"[allowlist]\nrequirements_path = https://user:{CANARY}@list.example/?sig={CANARY}",
        # Characters that would hide a password from its redaction.
        f'master = https://user:{CANARY}"x@upstream.example',
        f"download-mirror = https://user:{CANARY} x@files.example",
        f"proxy = http://user:x\\{CANARY}@proxy.example:3128",
        f'[locks]\nfiles = https://user:{CANARY}"x@list.example/x',
        f"[top]\nlist = https://user:{CANARY}\\x@list.example/x",
        f"= {CANARY}",
        f"password {CANARY}\npassword {CANARY}",
    ],
)
def test_a_mistake_is_reported_without_secrets(lines: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loading.parse(f"[mirror]\ndirectory = /m\n{lines}\n", {})

    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_configuration_with_secrets_is_represented_without_them() -> None:
    config = loading.parse(
        f"[mirror]\ndirectory = /m\nmaster = https://user:{CANARY}@upstream.example/a\n"
        f"download-mirror = https://{CANARY}@files.example\n"
        f"proxy = http://user:{CANARY}@proxy.example\npassword: {CANARY}\n"
        f"[plugins]\nenabled = all\n[locks]\nfiles = https://user:{CANARY}@a.example/{SIGNATURE}\n"
        f"indexes = https://user:{CANARY}@a.example/simple\n"
        f"[allowlist]\nrequirements = https://user:{CANARY}@a.example/{SIGNATURE}\n"
        f"[top]\nprojects = 1\nlist = https://user:{CANARY}@a.example/{SIGNATURE}\n",
        {},
    )

    assert config.master == "https://upstream.example/a"
    assert config.warnings
    assert CANARY not in repr(config)


# The command


def test_the_command_prints_and_logs_no_secrets(tmp_path: Path, index: Index) -> None:
    index.upload(sdist("demo", "1.0"))
    with Server(index) as upstream:
        upstream.faults.add(Fault(Redirect(f"https://evil.example/x{SIGNATURE}"), "/packages/"))
        upstream.faults.add(Fault(Edit(sign), "/simple/demo/"))
        master = upstream.url.replace("//", f"//user:{CANARY}@")
        path = tmp_path / "mirror.conf"
        path.write_text(
            f"[mirror]\ndirectory = {tmp_path / 'mirror'}\nmaster = {master}\n"
            "allow-non-https = true\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "frumious.cli", "-v", "-c", path, "mirror"],
            env={**os.environ, "PYTHONPATH": str(Path(errors.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert "demo" in done.stderr
    assert CANARY not in done.stdout + done.stderr


# Redaction itself


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"cannot read https://user:{CANARY}@a.example/b: 503", "https://***@a.example/b: 503"),
        (f"https://a@{CANARY}@a.example:1/", "https://***@a.example:1/"),
        (f"'https://a.example/b?sig={CANARY}' is", "'https://a.example/b?***' is"),
        (f"https://a.example/b?{CANARY} is", "https://a.example/b?*** is"),
        (f"'https://a.example/b?c='d'&e={CANARY}' is", "'https://a.example/b?***' is"),
        (f'"/o\'b/c?d="e"&f=<g>&h=\\&i={CANARY}", so', '"/o\'b/c?***", so'),
        (f"['https://a.example/?b={CANARY}', 'c']", "['https://a.example/?***', 'c']"),
        (f"url: /bucket/key?X-Amz-Signature={CANARY} (Caused", "/bucket/key?*** (Caused"),
        (f'{{"a":"\\"https://a.example/?b={CANARY}\\""}}', '{"a":"\\"https://a.example/?***\\""}'),
        (f"Authorization: Basic {CANARY * 3}==", "Authorization: Basic ***"),
        ("is it? a=b", "is it? a=b"),
        ("Basic use of b@a.example", "Basic use of b@a.example"),
    ],
)
def test_text_is_redacted(text: str, redacted: str) -> None:
    assert redacted in redact(text)
    assert CANARY not in redact(text)
    assert redacted in str(FrumiousError(text))


def test_log_records_are_redacted_with_their_fields_and_tracebacks() -> None:
    try:
        raise ValueError(f"https://user:{CANARY}@a.example")  # noqa: EM102, TRY301
    except ValueError:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 1, "%s", (f"/b?sig={CANARY}",), sys.exc_info()
        )
    vars(record)["error"] = f"Bearer {CANARY * 3}"

    assert redact_record(record)
    text = f"{logging.Formatter().format(record)} {vars(record)['error']}"
    assert "ValueError" in text
    assert CANARY not in text

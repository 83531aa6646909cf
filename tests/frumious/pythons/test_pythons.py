"""`frumious pythons`, and uv, which installs a build from the mirror."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.servers.loopback import LoopbackServer
from tests.serving.command import serve
from tests.serving.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world import Aws, World

HOST = "https://github.com/astral-sh/python-build-standalone/releases/download"
PYPY = "https://downloads.python.org/pypy"
UV = Path(sys.executable).with_name("uv")
SYSCONFIG = f"_sysconfigdata__linux_{platform.machine()}-linux-gnu"  # uv looks for it
SYSCONFIG_BODY = (
    b"# system configuration generated and used by the sysconfig module\n"
    b"build_time_vars = {'CC': 'cc'}\n"
)
SCRIPT = b"#!/bin/sh\necho Python from the mirror\n"


def archive() -> bytes:
    """Return a build as uv unpacks it; its interpreter is a script."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        for name, content, mode in (
            ("python/bin/python3.13", SCRIPT, 0o755),
            (f"python/lib/python3.13/{SYSCONFIG}.py", SYSCONFIG_BODY, 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return body.getvalue()


ARCHIVE = archive()


def entry(filename: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "cpython",
        "arch": {"family": platform.machine(), "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": 3,
        "minor": 13,
        "patch": 9,
        "prerelease": "",
        "url": f"{HOST}/20251014/{filename}",
        "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
        "variant": None,
        "build": "20251014",
        **changes,
    }


NAME = f"cpython-3.13.9-linux-{platform.machine()}-gnu"
FILE = f"cpython-3.13.9%2B20251014-{platform.machine()}-unknown-linux-gnu-install_only.tar.gz"
KEY = f"python-builds/cpython/20251014/{unquote(FILE)}"


@dataclass
class Builds:
    """A host that serves builds, and the list that names them."""

    folder: Path
    url: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)  # by path
    requests: list[str] = field(default_factory=list)

    def write_list(self, entries: dict[str, Any]) -> None:
        (self.folder / "list.json").write_text(json.dumps(entries))

    def configure(self, options: str = "") -> str:
        conf = self.folder / "mirror.conf"
        conf.write_text(
            f"[mirror]\ndirectory = {self.folder / 'mirror'}\nallow-non-https = true\n"
            f"[pythons]\nlist = {self.folder / 'list.json'}\nhost = {self.url}\n{options}"
        )
        return str(conf)

    def mirrored(self, *arguments: str, options: str = "", status: int = 0) -> Any:
        done = frumious("-c", self.configure(options), "pythons", "--json", *arguments)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def listed(self) -> dict[str, Any]:
        path = self.folder / "mirror/web/python-builds/downloads.json"
        listed: dict[str, Any] = json.loads(path.read_text())
        return listed


@pytest.fixture
def builds(tmp_path: Path) -> Iterator[Builds]:
    builds = Builds(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            builds.requests.append(self.path)
            body = builds.bodies.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    with LoopbackServer(Handler) as server:
        builds.url = server.address
        path = "/astral-sh/python-build-standalone/releases/download/20251014/"
        builds.bodies[path + FILE] = ARCHIVE
        builds.write_list({NAME: entry(FILE)})
        yield builds


def check_install(url: str, folder: Path) -> None:
    """Install the build with uv from the mirror at `url`, and run it."""
    done = subprocess.run(
        [UV, "python", "install", "3.13.9", "--no-bin", "--no-cache"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_INSTALL_DIR": str(folder / "installed"),
            "UV_PYTHON_INSTALL_MIRROR": f"{url}/python-builds/cpython",
            "UV_PYTHON_DOWNLOADS_JSON_URL": f"{url}/python-builds/downloads.json",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    python = folder / "installed" / NAME / "bin/python3.13"
    assert subprocess.check_output([python], text=True) == "Python from the mirror\n"


def test_uv_installs_a_build_from_the_mirror(builds: Builds, tmp_path: Path) -> None:
    assert builds.mirrored()["builds"] == 1
    (tmp_path / "serving").mkdir()

    with serve(tmp_path / "mirror", tmp_path / "serving", hash_index=False) as served:
        check_install(served.url, tmp_path)


@pytest.mark.servers
def test_uv_installs_a_build_from_nginx(builds: Builds, tmp_path: Path) -> None:
    builds.mirrored()

    with Nginx(tmp_path / "mirror", tmp_path / "nginx") as server:
        check_install(server.url, tmp_path)


def test_builds_in_a_bucket_have_their_types(builds: Builds, world: World, aws: Aws) -> None:
    conf = Path(builds.configure())
    directory = f"storage-backend = s3\ndirectory = /{world.bucket}"
    conf.write_text(conf.read_text().replace(f"directory = {builds.folder / 'mirror'}", directory))

    done = frumious("-c", str(conf), "pythons", "--json")

    assert done.returncode == 0, done.stderr
    for key, kind, caching in (
        (KEY, "application/octet-stream", "immutable"),
        ("python-builds/downloads.json", "application/json", "max-age=20"),
    ):
        head = aws.s3.head_object(Bucket=world.bucket, Key=f"web/{key}")
        assert head["ContentType"] == kind
        assert caching in head["CacheControl"]


def test_what_is_stored_is_not_fetched_again(builds: Builds) -> None:
    builds.mirrored()
    requests = len(builds.requests)

    again = builds.mirrored()

    assert (again["builds"], again["stored"], len(builds.requests)) == (1, [], requests)


def test_versions_platforms_variants_and_implementations_are_selected(builds: Builds) -> None:
    windows = entry("windows.tar.gz", os="windows", libc="none")
    debug = entry("debug.tar.gz", variant="debug")
    pypy_file = "pypy3.11-v7.3.20-linux64.tar.bz2"
    pypy = entry("x", name="pypy", url=f"{PYPY}/{pypy_file}", minor=11)
    old = entry("old.tar.gz", minor=9)
    preview = entry("preview.tar.gz", minor=15, patch=0, prerelease="a1")
    builds.write_list(
        {NAME: entry(FILE), "w": windows, "d": debug, "p": pypy, "o": old, "a": preview}
    )
    path = "/astral-sh/python-build-standalone/releases/download/20251014/"
    builds.bodies |= {f"{path}debug.tar.gz": ARCHIVE, f"/pypy/{pypy_file}": ARCHIVE}
    options = (
        "implementations = cpython pypy\nversions = >=3.11\nplatforms = linux-*-gnu\n"
        "variants = default debug\n"
    )

    builds.mirrored(options=options)

    assert set(builds.listed()) == {NAME, "d", "p"}
    assert (builds.folder / "mirror/web/python-builds/pypy" / pypy_file).exists()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("[1]", "", "download-metadata.json: it is not a JSON object"),
        ('{"a": 1}', "", "download-metadata.json: it is no object of objects"),
        ("{}", "", "selects; it names no builds"),
        (None, "platforms = linux", f"of these platforms: linux-{platform.machine()}-gnu"),
    ],
)
def test_a_list_without_builds_is_an_error_that_says_why(
    builds: Builds, content: str | None, options: str, message: str
) -> None:
    builds.write_list({NAME: entry(FILE)})
    if content is not None:
        (builds.folder / "list.json").write_text(content)

    done = frumious("-c", builds.configure(options), "pythons")

    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("list.json") == 1


def test_wrong_bytes_and_missing_digests_are_refused(builds: Builds) -> None:
    builds.write_list(
        {
            NAME: entry(FILE),
            "wrong": entry(FILE.replace("3.13.9", "3.13.8"), patch=8),
            "none": entry("none.tar.gz", sha256=None),
            "evil": entry("x", url=f"{HOST}/../../../state/cursor.json"),
            "address": entry("x", url="https://[::/releases/download/1/x.tar.gz"),
            "version": entry("x", prerelease="next"),
            "other": entry("x", url="https://elsewhere.example/x.tar.gz"),
        }
    )
    (wrong,) = (path.replace("3.13.9", "3.13.8") for path in [*builds.bodies])
    builds.bodies[wrong] = ARCHIVE[:-1] + b"x"

    done = builds.mirrored(status=1)

    assert len(done["problems"]) == 6
    assert set(builds.listed()) == {NAME}
    assert [p.name for p in (builds.folder / "mirror/web/python-builds").rglob("*.gz")] == [
        unquote(FILE)
    ]


def test_a_list_that_is_broken_or_empty_changes_nothing(builds: Builds) -> None:
    builds.mirrored()
    for text in ("{", "[]", "{}"):
        (builds.folder / "list.json").write_text(text)
        done = frumious("-c", builds.configure(), "pythons", "--prune")
        assert done.returncode == 1
        assert set(builds.listed()) == {NAME}
        assert (builds.folder / "mirror/web" / KEY).exists()


def test_builds_that_left_the_list_stay_until_they_are_pruned(builds: Builds) -> None:
    builds.mirrored()
    path = "/astral-sh/python-build-standalone/releases/download/20251014/new.tar.gz"
    builds.bodies[path] = ARCHIVE
    builds.write_list({"new": entry("new.tar.gz", patch=10)})

    assert builds.mirrored()["builds"] == 2
    assert builds.mirrored("--prune")["removed"] == [f"web/{KEY}"]
    assert set(builds.listed()) == {"new"}
    assert not (builds.folder / "mirror/web" / KEY).exists()


def test_a_published_build_never_changes(builds: Builds) -> None:
    builds.mirrored()
    builds.write_list({NAME: entry(FILE, sha256="0" * 64)})

    (problem,) = builds.mirrored(status=1)["problems"]

    assert "another digest now; the stored build stays" in problem
    assert builds.listed()[NAME]["sha256"] == hashlib.sha256(ARCHIVE).hexdigest()


def test_damage_is_found_by_deep_and_repaired(builds: Builds) -> None:
    builds.mirrored()
    (builds.folder / "mirror/web" / KEY).write_bytes(b"damaged")

    assert builds.mirrored("--deep")["stored"] == [f"web/{KEY}"]
    assert (builds.folder / "mirror/web" / KEY).read_bytes() == ARCHIVE


def test_a_configuration_without_a_list_is_refused(tmp_path: Path) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text(f"[mirror]\ndirectory = {tmp_path}\n")
    done = frumious("-c", str(conf), "pythons")
    assert done.returncode == 2
    conf.write_text(
        f"[mirror]\ndirectory = {tmp_path}\n"
        "[pythons]\nlist = x\nimplementations = jython\nversions = three\n"
    )
    done = frumious("-c", str(conf), "pythons")
    assert done.returncode == 2
    assert "'jython' is none of cpython, pypy, graalpy" in done.stderr
    assert "must be a version specifier such as >=3.11" in done.stderr


def test_verify_finds_missing_and_damaged_builds(builds: Builds) -> None:
    builds.bodies[f"/astral-sh/python-build-standalone/releases/download/20251014/{FILE}"] = ARCHIVE
    builds.write_list({NAME: entry(FILE)})
    builds.mirrored()
    stored = builds.folder / "mirror/web" / KEY

    def verified(*arguments: str) -> set[tuple[str, str]]:
        done = frumious("-c", builds.configure(), "verify", "--json", *arguments)
        found = json.loads(done.stdout)["findings"]
        return {(each["kind"], each["key"]) for each in found if "python" in each["key"]}

    assert verified() == verified("--deep") == set()
    stored.write_bytes(ARCHIVE[:-1])
    assert verified("--deep") == {("damaged-python-build", f"web/{KEY}")}
    stored.unlink()
    assert verified() == {("damaged-python-build", f"web/{KEY}")}

    builds.mirrored("--deep")
    assert verified("--deep") == set()

"""The image and the compose file: their parts fit together, and run without an engine too."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from packaging.version import Version

from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[1]
DOCKER = CHECKOUT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return services


@pytest.fixture
def upstream() -> Iterator[Server]:
    with Server(Index()) as server:
        server.index.upload(wheel("one", "1.0"))
        yield server


@pytest.fixture
def configuration(upstream: Server, tmp_path: Path) -> Path:
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\n[plugins]\nenabled = allowlist_project\n"
        "[allowlist]\npackages = one\n"
    )
    return path


def targets(service: dict[str, Any]) -> dict[str, str]:
    return {volume.split(":")[0]: volume.split(":")[1] for volume in service["volumes"]}


def test_mirror_and_web_server_use_the_same_folder(services: dict[str, Any]) -> None:
    mirror_conf = configparser.ConfigParser()
    mirror_conf.read(DOCKER / "mirror.conf")
    folder = mirror_conf["mirror"]["directory"]
    nginx_conf = (CHECKOUT / "docs/serving/nginx.conf").read_text()

    assert targets(services["mirror"])["pypi"] == targets(services["web"])["pypi"] == folder
    assert f"root {folder}/web;" in nginx_conf
    assert f"VOLUME {folder}\n" in DOCKERFILE
    port = services["web"]["ports"][0].rpartition(":")[2]
    assert f"listen {port};" in nginx_conf


def test_what_is_mounted_and_copied_exists(services: dict[str, Any]) -> None:
    config = re.search(r"FRUMIOUS_CONFIG=(\S+)", DOCKERFILE)
    assert config is not None
    assert targets(services["mirror"])["./mirror.conf"] == config[1]
    for source in (*targets(services["mirror"]), *targets(services["web"])):
        assert source == "pypi" or (DOCKER / source).is_file(), source
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = " ".join(re.findall(r"^COPY (\w.*) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert len(copied) == 4
    for source in copied:
        assert (CHECKOUT / source).exists(), source
        assert f"!{source}" in ignored


def test_what_verifies_attestations_fits_into_the_image() -> None:
    """It is installed after the command's packages, and replaces none by what is not compatible."""

    def pins(name: str) -> dict[str, Version]:
        text = (CHECKOUT / f"requirements/{name}.txt").read_text()
        found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
        return {project: Version(version) for project, version in found}

    command, attestations = pins("command"), pins("attestations")
    assert "pypi-attestations" in attestations
    for name in command.keys() & attestations.keys():
        assert attestations[name].major == command[name].major, name
    built = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["mirror"]["build"]
    assert built["args"].keys() == {*re.findall(r"^ARG (\w+)=", DOCKERFILE, re.MULTILINE)}


def test_the_mirror_is_updated_until_the_container_stops(
    upstream: Server, configuration: Path, tmp_path: Path
) -> None:
    program = tmp_path / "bin/frumious"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m frumious.cli "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT / "shared"),
        "FRUMIOUS_CONFIG": str(configuration),
    }
    page = tmp_path / "mirror/web/simple/one/index.v1_json"

    def files() -> list[str]:
        return [file["filename"] for file in json.loads(page.read_bytes())["files"]]

    def wait(expected: int) -> None:
        deadline = time.monotonic() + 60
        while not page.exists() or len(files()) < expected:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    with subprocess.Popen([DOCKER / "mirror-regularly", "0.1"], env=environment) as process:
        try:
            wait(1)
            upstream.index.upload(wheel("one", "2.0"))
            wait(2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.servers
def test_the_image_has_all_that_the_command_needs(
    upstream: Server, configuration: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    shutil.copytree(CHECKOUT / "shared/frumious", tmp_path / "lib/frumious")
    uv = Path(sys.executable).with_name("uv")
    requirements = CHECKOUT / "requirements/command.txt"
    for command in (
        f"{uv} venv --quiet --python {sys.executable} {environment}",
        f"{uv} pip install --quiet --python {environment} --require-hashes -r {requirements}",
    ):
        subprocess.run(command.split(), check=True, timeout=300)

    done = subprocess.run(
        f"{environment}/bin/python -m frumious.cli -c {configuration} mirror".split(),
        env={"PYTHONPATH": str(tmp_path / "lib"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert upstream.index.serial == int((tmp_path / "mirror/status").read_text())


def has_engine() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and not subprocess.run(
            [docker, "info"], capture_output=True, check=False, timeout=60
        ).returncode
    )


@pytest.mark.servers
@pytest.mark.timeout(900)
def test_the_image_is_built_where_an_engine_runs() -> None:
    if not has_engine():
        pytest.skip("no Docker engine runs on this machine")
    build = f"docker build --quiet -f {DOCKER}/Dockerfile {CHECKOUT}".split()
    image = subprocess.run(build, capture_output=True, text=True, check=True, timeout=800).stdout
    version = ["docker", "run", "--rm", image.strip(), "frumious", "--version"]
    assert "frumious" in subprocess.run(version, capture_output=True, text=True, check=True).stdout

"""A mirror.conf that the functions could not use is refused by the build."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.sigstore import Sigstore

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Build

# Without the fixtures: the first test waits for the environments and the build.
pytestmark = pytest.mark.timeout(120, func_only=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("layers", "requirements", "shared"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    shutil.copy(CHECKOUT / "template.yaml", tmp_path)
    return tmp_path


def build_layer(checkout: Path, build: Build, option: str) -> subprocess.CompletedProcess[str]:
    """Build the layer like SAM, with this option in mirror.conf."""
    (checkout / "mirror.conf").write_text(
        f"[mirror]\nstorage-backend = s3\ndirectory = /bucket\n{option}\n"
    )
    path = f"{build.interpreter.parent}:{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}"
    (checkout / "built").mkdir()
    return subprocess.run(
        ["make", "-f", checkout / "layers/runtime/Makefile", "build-RuntimeLayer"],  # noqa: S607
        env={**os.environ, "PATH": path, "ARTIFACTS_DIR": str(checkout / "built")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (
            "hash-index = true",
            """mirror.conf cannot be used in Lambda:
- [mirror] hash-index = true: a stack serves pages from their plain keys
""",
        ),
        (
            "diff-file = {{mirror_directory}}/lists/changes",
            "- [mirror] diff-file = 'lists/changes' in the bucket: the finalizer may write only",
        ),
        (
            "[attestations]\ntrust-root = trusted_root.json\nrequire = demo",
            "[attestations] trust-root = 'trusted_root.json' cannot be read",
        ),
        (
            "[attestations]\ntrust-root = /etc/trusted_root.json\nrequire = demo",
            "name it without a folder",
        ),
        ("workers = many", "mirror.conf is invalid:\n- [mirror] workers = 'many': must be"),
    ],
)
def test_a_configuration_that_cannot_be_used_fails_the_build(
    build: Build, checkout: Path, option: str, complaint: str
) -> None:
    built = build_layer(checkout, build, option)
    assert built.returncode != 0
    assert complaint in built.stderr


def test_a_trust_root_is_built_into_the_layer(build: Build, checkout: Path) -> None:
    trust_root = Sigstore().trust_root
    (checkout / "trusted_root.json").write_bytes(trust_root)
    option = "[attestations]\ntrust-root = trusted_root.json\nrequire = demo"
    built = build_layer(checkout, build, option)
    assert built.returncode == 0, built.stderr
    assert (checkout / "built/trusted_root.json").read_bytes() == trust_root


def test_another_configuration_is_built(build: Build, checkout: Path) -> None:
    built = build_layer(checkout, build, "wokers = 3")
    assert built.returncode == 0, built.stderr
    assert "wokers" in built.stderr

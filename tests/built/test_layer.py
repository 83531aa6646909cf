"""What the layer holds: all that the functions need, compiled, and nothing else."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Build

# Without the fixtures: the first test waits for the environments and the build.
pytestmark = pytest.mark.timeout(60, func_only=True)

UNPACKED_LIMIT = 60_000_000  # bytes
LAMBDAS_LIMIT = 250_000_000  # of a function with all of its layers ("Lambda quotas")
AARCH64 = 183  # e_machine in an ELF header
UNCHECKED_HASH = 0b01  # a .pyc's flags (PEP 552): by hash, and never compared with the source


def files(build: Build) -> list[Path]:
    """Return the files of both layers."""
    layers = (build.layer, build.attestations)
    return [path for layer in layers for path in layer.rglob("*") if path.is_file()]


def size(layer: Path) -> int:
    return sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())


def compiled(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"


def test_the_layer_carries_the_mirror_and_its_configuration(build: Build) -> None:
    shared = CHECKOUT / "shared"
    for source in shared.rglob("*.py"):
        shipped = build.python_path / source.relative_to(shared)
        assert shipped.read_bytes() == source.read_bytes()
    page = "frumious/finalizing/front_page.html"
    assert (build.python_path / page).read_bytes() == (shared / page).read_bytes()
    shipped = build.layer / "mirror.conf"
    assert shipped.read_bytes() == (CHECKOUT / "mirror.conf").read_bytes()


def test_packages_of_the_lambda_runtime_are_not_shipped(build: Build) -> None:
    shipped = {path.name for path in build.python_path.iterdir()}
    assert shipped.isdisjoint({"boto3", "botocore", "s3transfer", "awslambdaric"})


def test_packages_for_local_use_are_not_shipped(build: Build) -> None:
    folders = {path.name for path in build.python_path.rglob("*") if path.is_dir()}
    assert folders.isdisjoint({"bin", "tests", "localcloud", "moto", "pip"})


def test_every_module_is_compiled_for_python_3_13(build: Build) -> None:
    sources = [path for path in files(build) if path.suffix == ".py"]
    assert sources
    magic = subprocess.run(
        [build.interpreter, "-c", "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    for source in sources:
        header = compiled(source).read_bytes()[:16]
        assert header[:4].hex() == magic, source
        assert int.from_bytes(header[4:8], "little") == UNCHECKED_HASH, source


def test_tracebacks_show_paths_as_lambda_has_them(build: Build) -> None:
    code = compiled(build.python_path / "frumious/__init__.py").read_bytes()[16:]
    assert b"/opt/python/frumious/__init__.py" in code
    assert str(build.layer).encode() not in code


def test_extensions_are_for_lambdas_processor_and_python(build: Build) -> None:
    extensions = [path for path in files(build) if ".so" in path.suffixes]
    assert extensions
    for path in extensions:
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF", path
        assert int.from_bytes(header[18:20], "little") == AARCH64, path
        bundled = path.parent.name.endswith(".libs")  # libraries that an extension brings
        kinds = (".cpython-313-aarch64-linux-gnu.so", ".abi3.so")
        assert bundled or path.name.endswith(kinds), path


def test_the_layer_has_no_file_for_another_platform(build: Build) -> None:
    others = {".dll", ".dylib", ".exe", ".pyd"}
    assert not [path for path in files(build) if path.suffix in others]


def test_distributions_keep_their_metadata_and_licences(build: Build) -> None:
    layers = (build.layer, build.attestations)
    folders = [each for layer in layers for each in layer.glob("python/*.dist-info")]
    assert folders
    for folder in folders:
        assert (folder / "METADATA").is_file()
        assert [p for p in folder.rglob("*") if "LICEN" in p.name.upper()], folder


def test_the_layer_is_small(build: Build) -> None:
    assert size(build.layer) < UNPACKED_LIMIT
    assert size(build.layer) + size(build.attestations) < LAMBDAS_LIMIT / 2


def test_only_the_verifier_has_the_library_that_verifies(build: Build) -> None:
    shipped = {path.name for path in (build.attestations / "python").iterdir()}
    library = {"cryptography", "pydantic_core", "pypi_attestations", "sigstore"}
    assert shipped >= library
    assert library.isdisjoint(path.name for path in build.python_path.iterdir())
    assert "frumious" not in shipped

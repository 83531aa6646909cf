"""Small, reproducible wheels and sdists that pip can install."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The earliest time that a zip archive can express.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Dist:
    """A built distribution."""

    project: str
    version: str
    filename: str
    content: bytes
    requires_python: str | None = None
    core_metadata: bytes | None = None  # PEP 658: the wheel's METADATA; none for an sdist


def wheel(  # noqa: PLR0913 - all but two have a default
    project: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    tag: str = "py3-none-any",
    filling: bytes = b"",
) -> Dist:
    """Build a wheel with one module that has a `__version__`.

    `filling` goes into the module's data file `filling.bin`, uncompressed, to make it larger.
    """
    name = _module_name(project)
    dist_info = f"{name}-{version}.dist-info"
    metadata = _metadata(project, version, requires, requires_python)
    members = {
        f"{name}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{dist_info}/METADATA": metadata,
        f"{dist_info}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: upstream\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
        ),
    }
    if filling:
        members[f"{name}/filling.bin"] = filling
    record = f"{dist_info}/RECORD"
    members[record] = "".join(
        [*(_record_line(path, data) for path, data in members.items()), f"{record},,\n"]
    ).encode()
    return Dist(
        project, version, f"{name}-{version}-{tag}.whl", _zip(members), requires_python, metadata
    )


def sdist(
    project: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
) -> Dist:
    """Build an sdist that setuptools can turn into a wheel."""
    name = _module_name(project)
    top = f"{name}-{version}"
    lines = [
        "[build-system]",
        'requires = ["setuptools"]',
        'build-backend = "setuptools.build_meta"',
        "[project]",
        f'name = "{project}"',
        f'version = "{version}"',
        f"dependencies = {list(requires)!r}",
    ]
    if requires_python:
        lines.append(f'requires-python = "{requires_python}"')
    members = {
        f"{top}/PKG-INFO": _metadata(project, version, requires, requires_python),
        f"{top}/pyproject.toml": ("\n".join(lines) + "\n").encode(),
        f"{top}/{name}/__init__.py": f'__version__ = "{version}"\n'.encode(),
    }
    return Dist(project, version, f"{top}.tar.gz", _tar_gz(members), requires_python)


def _module_name(project: str) -> str:
    return project.lower().replace("-", "_").replace(".", "_")


def _metadata(
    project: str, version: str, requires: Sequence[str], requires_python: str | None
) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    extras = sorted({*re.findall(r"extra == ['\"](.+?)['\"]", "\n".join(requires))})
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    return ("\n".join(lines) + "\n").encode()


def _record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Stored, not deflated: zlib's output differs between versions.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, data in members.items():
            info = zipfile.ZipInfo(path, _ZIP_EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _tar_gz(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), compresslevel=0, mtime=0)

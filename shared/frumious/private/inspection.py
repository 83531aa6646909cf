"""What a private wheel or sdist is: its hash, and what its metadata says."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from packaging.metadata import parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from frumious.errors import FrumiousError, Reason
from frumious.private.listing import parse_filename

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_MAX_METADATA: Final = 16 * 1024**2  # bytes
_CHUNK: Final = 1024**2
_DAMAGED: Final = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class InvalidPrivateFile(FrumiousError):
    """A private file that is damaged, still being written, or not what its name says."""

    reason = Reason.PRIVATE_INVALID


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was read of a file."""

    sha256: str
    version: str
    requires_python: str | None = None
    core_metadata: bytes | None = None  # of a wheel (PEP 658)


def inspect(file: IO[bytes], filename: str) -> Inspected:
    """Read all of a wheel or an sdist.

    An archive ends with what makes it whole, so that a file is recognised that is still being
    written: a zip with its directory, a gzip with a checksum.

    Raises:
        InvalidPrivateFile: it is not whole, or its metadata are of another project or version.
    """
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    try:
        project, version = parse_filename(filename)
        metadata = _read_tar(file) if filename.endswith(".tar.gz") else _read_zip(file, filename)
        requires_python = _requires_python(metadata, project, version)
    except _DAMAGED as error:
        msg = f"{filename!r:.120} is not a whole archive, or is still being written: {error}"
        raise InvalidPrivateFile(msg) from error
    except (InvalidSpecifier, InvalidVersion, LookupError, TypeError, ValueError) as error:
        msg = f"{filename!r:.120} is not valid: {error}"
        raise InvalidPrivateFile(msg) from error
    is_wheel = filename.endswith(".whl")
    return Inspected(sha256, str(version), requires_python, metadata if is_wheel else None)


def _requires_python(
    metadata: bytes | None, project: NormalizedName, version: Version
) -> str | None:
    """Return which Pythons the metadata requires; they have to be the project's.

    Raises:
        ValueError: they are another project's, or invalid.
    """
    if metadata is None:
        return None
    raw, _ = parse_email(metadata)
    named = canonicalize_name(raw.get("name", ""))
    numbered = Version(raw.get("version", ""))
    if (named, numbered) != (project, version):
        msg = f"its metadata are of {named!r:.80} {numbered}"
        raise ValueError(msg)
    requires_python = raw.get("requires_python")
    if requires_python is not None:
        SpecifierSet(requires_python)
    return requires_python


def read_core_metadata(file: IO[bytes], filename: str) -> bytes:
    """Return the core metadata of a wheel (PEP 658).

    Raises:
        InvalidPrivateFile: there are none.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _metadata_in(archive, filename) or b""
    except (*_DAMAGED, ValueError) as error:
        msg = f"{filename!r:.120} has no core metadata: {error}"
        raise InvalidPrivateFile(msg) from error


def _read_zip(file: IO[bytes], filename: str) -> bytes | None:
    """Return the metadata of a wheel or of an sdist, after all checksums were verified."""
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            msg = f"the checksum of {damaged!r:.120} is wrong"
            raise zipfile.BadZipFile(msg)
        return _metadata_in(archive, filename)


def _metadata_in(archive: zipfile.ZipFile, filename: str) -> bytes | None:
    is_wheel = filename.endswith(".whl")
    end = ".dist-info/METADATA" if is_wheel else "/PKG-INFO"
    found = [name for name in archive.namelist() if name.endswith(end) and name.count("/") == 1]
    if not found and not is_wheel:
        return None
    if len(found) != 1:
        msg = f"it has {len(found)} files *{end} instead of one"
        raise ValueError(msg)
    if archive.getinfo(found[0]).file_size > _MAX_METADATA:
        msg = f"{found[0]!r:.120} has more than {_MAX_METADATA} bytes"
        raise ValueError(msg)
    return archive.read(found[0])


def _read_tar(file: IO[bytes]) -> bytes | None:
    """Return the metadata of an sdist, after all of it was read."""
    with gzip.open(file) as whole:
        while whole.read(_CHUNK):
            pass
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.removeprefix("./").partition("/")
            if folder and name == "PKG-INFO" and member.isfile() and member.size <= _MAX_METADATA:
                content = archive.extractfile(member)
                return None if content is None else content.read()
    return None

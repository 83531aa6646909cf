"""minisign itself reads our keys and signatures, and we read its own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from frumious.signing.keys import InvalidKey, SigningKey, read_signing_key, read_verify_key
from frumious.signing.signatures import sign, verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]  # each use of a password: 1 GiB

MESSAGE = b"a message\n"


def minisign(folder: Path, *arguments: str, answers: str = "") -> str:
    program = shutil.which("minisign")
    if program is None:
        pytest.fail("minisign is missing: install it (Debian, Ubuntu: apt-get install minisign)")
    done = subprocess.run(
        [program, *arguments], cwd=folder, input=answers, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_minisign_verifies_our_signature(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "m").write_bytes(MESSAGE)
    (tmp_path / "m.minisig").write_text(sign(MESSAGE, key, "serials 1 to 2"), "utf-8")
    (tmp_path / "key.pub").write_text(key.public.file, "utf-8")
    assert "serials 1 to 2" in minisign(tmp_path, "-Vm", "m", "-p", "key.pub")
    assert "serials 1 to 2" in minisign(tmp_path, "-Vm", "m", "-P", key.public.text)


@pytest.mark.parametrize("password", [None, "secret"])
def test_minisign_signs_with_our_key(tmp_path: Path, password: str | None) -> None:
    key = SigningKey.generate()
    (tmp_path / "m").write_bytes(MESSAGE)
    (tmp_path / "key").write_text(key.file(password), "utf-8")
    minisign(tmp_path, "-Sm", "m", "-s", "key", "-t", "theirs", answers=f"{password or ''}\n")
    signature = (tmp_path / "m.minisig").read_text("utf-8")
    assert verify(MESSAGE, signature, [key.public]) == "theirs"


@pytest.mark.parametrize("password", [None, "secret"])
def test_we_sign_with_a_key_of_minisign(tmp_path: Path, password: str | None) -> None:
    options = ["-W"] if password is None else []
    answers = f"{password}\n{password}\n"
    minisign(tmp_path, "-G", *options, "-p", "key.pub", "-s", "key", answers=answers)
    key = read_signing_key(tmp_path / "key", password)
    assert key.public == read_verify_key(tmp_path / "key.pub")
    (tmp_path / "m").write_bytes(MESSAGE)
    (tmp_path / "m.minisig").write_text(sign(MESSAGE, key, "ours"), "utf-8")
    assert "ours" in minisign(tmp_path, "-Vm", "m", "-p", "key.pub")
    if password is not None:
        with pytest.raises(InvalidKey, match="the password is not"):
            read_signing_key(tmp_path / "key", "another")

"""The program in docs/changes.md verifies a feed."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from frumious.model import checkpoint
from frumious.signing.keys import SigningKey
from localcloud.environment import CHECKOUT
from tests.clients import served
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import World


def test_the_program_of_the_page_verifies_a_feed(world: World, tmp_path: Path) -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    (tmp_path / "key").write_text(key.file())
    name = "pypi.example.org"
    world.configure(sections=f"[changes]\nname = {name}\nsecret-key = {tmp_path / 'key'}\n")
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
        world.mirror_run()
    (program,) = re.findall(
        r"```python\n(.*?)```", (CHECKOUT / "docs/changes.md").read_text(), re.DOTALL
    )
    (tmp_path / "verify.py").write_text(program)

    def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "verify.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with served(world) as url:
        for text in (key.public.text, checkpoint.verifier_key(name, key.public.raw)):
            done = verify(url, text)
            assert done.returncode == 0, done.stderr
            assert "demo updated demo-2.0-py3-none-any.whl" in done.stdout
            assert ": 2 changes, " in done.stdout.splitlines()[-1]
        assert "InvalidSignature" in verify(url, other.public.text).stderr
        bundle = world.read("web/changes/entries/000.p/2")
        forged = bundle.replace(b"demo-2.0", b"demo-3.0")
        world.s3.put_object(Bucket=world.bucket, Key="web/changes/entries/000.p/2", Body=forged)
        assert "not those of the checkpoint" in verify(url).stderr

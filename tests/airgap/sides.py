"""Both sides of an air gap: a mirror with an upstream, and one that only bundles reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from click.testing import CliRunner

from frumious.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: Final = "delete-after = 0\nmax-removals = 50% 10\njson = true\nrelease-json = true\n"


class Side:
    """A mirror in a folder of its own, and the command for it."""

    def __init__(self, folder: Path, options: str = "") -> None:
        self.folder = folder
        self.mirror = folder / "mirror"
        self.conf = folder / "mirror.conf"
        self.options = options
        folder.mkdir()
        self.configure(options)

    def configure(self, options: str) -> None:
        self.conf.write_text(f"[mirror]\ndirectory = {self.mirror}\n{OPTIONS}{options}")

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run the command in this process: a new one for each verb would take minutes."""
        done = CliRunner().invoke(main, ["-c", str(self.conf), *arguments])
        problem = (arguments, done.output, done.exception)
        assert done.exit_code == code, problem
        return done.output

    def objects(self) -> dict[str, bytes]:
        """Return what readers get."""
        return {
            str(path.relative_to(self.mirror)): path.read_bytes()
            for path in sorted((self.mirror / "web").rglob("*"))
            if path.is_file()
        }


def pair(folder: Path, url: str, options: str = "") -> tuple[Side, Side, Path]:
    """Return a mirror of an upstream, a mirror behind the gap, and the folder between them."""
    gap = folder / "gap"
    gap.mkdir()
    source = Side(folder / "source", f"master = {url}\nallow-non-https = true\n{options}")
    source.run("keys", "generate", str(folder / "key"))
    source.configure(
        f"master = {url}\nallow-non-https = true\n{options}[export]\nsecret-key = {folder}/key\n"
    )
    public = f"[import]\npublic-key = {folder}/key.pub\n"
    return source, Side(folder / "target", f"{options}{public}"), gap

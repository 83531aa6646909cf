"""Installation of a project from the mirror with pip, into an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Imports the distribution that the argument names; prints module name and version.
IMPORT = """
import importlib, re, sys
from importlib.metadata import packages_distributions, version
project = sys.argv[1]
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
modules = [
    module for module, names in packages_distributions().items()
    if project in map(normal, names) and module.isidentifier()
]
module = min(modules, key=lambda name: (normal(name) != project, name.startswith("_"), name))
importlib.import_module(module)
print(module, version(project))
"""


class InstallError(Exception):
    """pip could install none of the projects, or one could not be imported."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed project; `no_deps` if it was installed without its dependencies."""

    project: str
    module: str
    version: str
    no_deps: bool


def install_one(index_url: str, projects: Sequence[str]) -> Installed:
    """Install the first project that can be installed, and import it.

    Dependencies may not be mirrored. If no project can be installed with its dependencies, the
    first one is installed without them.

    Raises:
        InstallError: no project could be installed or imported.
    """
    with tempfile.TemporaryDirectory(prefix="frumious-demo-") as folder:
        venv.create(folder)  # without pip: that of this process installs into it
        python = str(Path(folder) / "bin" / "python")
        errors = []
        for project, options in [(p, []) for p in projects] + [
            (p, ["--no-deps"]) for p in projects
        ]:
            pip = _run(
                sys.executable, "-m", "pip", "--python", python, "--isolated", "install",
                "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--index-url",
                index_url, *options, project,
            )  # fmt: skip
            if pip.returncode == 0:
                imported = _run(python, "-I", "-c", IMPORT, project)
                if imported.returncode != 0:
                    msg = f"{project!r} was installed but cannot be imported: {imported.stderr}"
                    raise InstallError(msg)
                module, version = imported.stdout.split()
                return Installed(project, module, version, no_deps=bool(options))
            errors.append(pip.stderr.strip())
    msg = f"pip could install none of {', '.join(projects)} from the mirror: {errors[-1]}"
    raise InstallError(msg)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program without any configuration of another index in its environment."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PIP_", "PYTHON", "UV_"))
        and not name.upper().endswith("_PROXY")
    }
    return subprocess.run(
        command,
        env={**inherited, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )

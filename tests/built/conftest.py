"""What `make build` builds and what it runs in; made when a test first asks for it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Build:
    """The folders that `sam build` leaves, and Lambda's Python with what it brings by itself."""

    template: Path
    layer: Path  # /opt in Lambda
    attestations: Path  # the verifier's own layer
    interpreter: Path

    @property
    def python_path(self) -> Path:
        return self.layer / "python"

    @property
    def native_attestations(self) -> Path:
        """The packages of the verifier's layer for this machine."""
        return self.interpreter.parents[1] / "attestations"

    @property
    def msgspec(self) -> Path:
        """The package for this machine; the layer's is compiled for Lambda's processor."""
        return self.interpreter.parents[1] / "lib/python3.13/site-packages/msgspec"


@pytest.fixture(scope="session")
def build() -> Build:
    # Not a part of a make that may be running these tests: it has no say in this one.
    environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL"}}
    with (CHECKOUT / ".venv/.building").open("w") as building:
        fcntl.flock(building, fcntl.LOCK_EX)  # of tests side by side, the first one builds
        made = subprocess.run(
            ["make", "build", "lambda-env"],  # noqa: S607 (wherever it is)
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=280,  # from nothing; well under a minute on a machine with a usual connection
        )
    assert made.returncode == 0, made.stdout
    built = CHECKOUT / ".aws-sam/build"
    return Build(
        template=built / "template.yaml",
        layer=built / "RuntimeLayer",
        attestations=built / "AttestationsLayer",
        interpreter=CHECKOUT / ".venv-lambda/bin/python",
    )

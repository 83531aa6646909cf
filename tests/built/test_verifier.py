"""The built verifier, run as Lambda runs it: with both layers, no network and no configuration.

What is compiled in its layer is for Lambda's processor, and comes from this machine's packages; all
else of the library is what the build has left of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from frumious.model.attestations import Claim, Request
from localcloud import LocalCloud, Runtime
from tests.sigstore import Sigstore
from tests.upstream import sdist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Build

pytestmark = pytest.mark.timeout(120, func_only=True)

DEMO, OTHER = sdist("demo", "1.0"), sdist("demo", "2.0")


@pytest.fixture
def cloud(build: Build, tmp_path: Path) -> Iterator[LocalCloud]:
    native = tmp_path / "native"
    native.mkdir()
    (native / "msgspec").symlink_to(build.msgspec)
    for path in build.native_attestations.iterdir():
        is_compiled = path.suffix == ".so" or (path.is_dir() and any(path.rglob("*.so")))
        if is_compiled and not (native / path.name).exists():
            (native / path.name).symlink_to(path)
    config = tmp_path / "mirror.conf"
    config.write_text("[mirror]\nmaster = http://127.0.0.1:9\n")
    runtime = Runtime(
        interpreter=build.interpreter,
        python_path=(native, build.attestations / "python", build.python_path),
        config=config,
    )
    parameters = {"VerifyAttestations": "true"}
    with LocalCloud(build.template, runtime=runtime, parameters=parameters) as cloud:
        yield cloud


def verdicts(cloud: LocalCloud, trust_root: bytes, *claims: Claim) -> list[dict[str, str]]:
    request = msgspec.to_builtins(Request(trust_root.decode(), claims))
    answer: dict[str, Any] = cloud.invoke("VerifierFunction", request)
    found: list[dict[str, str]] = answer["verdicts"]
    return found


def claim(provenance: bytes, content: bytes = DEMO.content) -> Claim:
    return Claim(DEMO.filename, hashlib.sha256(content).hexdigest(), provenance.decode())


def test_the_built_verifier_verifies_claims(cloud: LocalCloud) -> None:
    sigstore = Sigstore()
    valid = sigstore.provenance(DEMO.filename, DEMO.content)
    forged = Sigstore().provenance(DEMO.filename, DEMO.content)
    good, bad, other = verdicts(
        cloud, sigstore.trust_root, claim(valid), claim(forged), claim(valid, OTHER.content)
    )
    assert good["publisher"].startswith("github.com/")
    assert not good["problem"]
    assert bad["problem"]
    assert not bad["publisher"]
    assert "other bytes" in other["problem"]
    (again,) = verdicts(cloud, Sigstore().trust_root, claim(valid))
    assert again["problem"], "each request counts by its own trust root"

"""The demo with the real handlers and the fake upstream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from localcloud import Runtime
from localcloud.demo import demo
from tests.upstream import Fault, Index, Server, Status, sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path


class Demo:
    """Runs the demonstration against the upstream, with a state that is kept."""

    def __init__(self, upstream: Server, folder: Path) -> None:
        self.state = folder / "state"
        self.config = folder / "mirror.conf"
        self.configure(upstream.url)

    def configure(self, master: str) -> None:
        self.config.write_text(
            "[mirror]\ndirectory = /frumious\nstorage-backend = s3\nallow-non-https = true\n"
            f"master = {master}\n"
        )

    def run(self, *projects: str) -> tuple[int, str]:
        output = io.StringIO()
        status = demo(
            projects,
            state=self.state,
            serve=False,
            runtime=Runtime(config=self.config),
            console=Console(file=output, width=120),
        )
        return status, output.getvalue()


@pytest.fixture
def demonstration(upstream: Server, tmp_path: Path) -> Demo:
    return Demo(upstream, tmp_path)


def test_what_was_mirrored_is_installed_and_imported(
    demonstration: Demo, index: Index, upstream: Server
) -> None:
    index.upload(wheel("needy", "1.0", requires=["elsewhere"]))
    index.upload(wheel("Demo_Project", "2.0"))
    index.upload(sdist("Demo_Project", "2.0"))
    status, output = demonstration.run("needy", "Demo.Project")
    assert status == 0, output
    assert "pip installed demo-project 2.0 from the mirror and `import demo_project`" in output
    assert "demo-project: 2 new files" in output
    upstream.clear()
    status, output = demonstration.run("demo-project")
    assert status == 0, output
    assert "new file" not in output
    assert not [request for request in upstream.requests if "/packages/" in request.path]


def test_a_project_that_upstream_does_not_have_is_named(demonstration: Demo) -> None:
    status, output = demonstration.run("no-such-project-xyz")
    assert (status, output.splitlines()[1:]) == (
        1,
        ["Upstream has no project 'no-such-project-xyz'."],
    )


def test_an_upstream_that_is_out_of_reach_is_reported_in_one_sentence(demonstration: Demo) -> None:
    demonstration.configure("http://127.0.0.1:9")
    status, output = demonstration.run("six", "flit")
    (sentence,) = output.splitlines()[1:]
    assert status == 1
    assert sentence.startswith("Nothing could be mirrored: upstream did not respond: cannot read ")


def test_what_fails_is_named_beside_what_works(
    demonstration: Demo, index: Index, upstream: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.demo.RETRY_SECONDS", 1)
    index.upload(wheel("six", "1.0"))
    index.upload(wheel("flit", "1.0"))
    upstream.faults.add(Fault(Status(403), match="/simple/flit/"))
    status, output = demonstration.run("six", "flit")
    assert status == 1
    assert "'flit' could not be mirrored: " in output
    assert "six: 1 new file" in output
    assert "'six'" not in output

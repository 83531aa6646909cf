"""Attestations on the stack: workers ask a function of its own, and what is wrong is an alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import LocalCloud
from localcloud.alarms import State
from localcloud.environment import CHECKOUT
from localcloud.runtime_api import FunctionFailed
from tests.functions.conftest import make_runtime
from tests.functions.test_advisories import go_round, keys
from tests.functions.test_events import received, subscribe
from tests.sigstore import Sigstore
from tests.upstream import sdist

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud import Runtime
    from tests.upstream import Index, Server

PARAMETERS = {"VerifyAttestations": "true"}


def upload(index: Index, version: str, sigstore: Sigstore, **wrong: Any) -> None:
    dist = sdist("demo", version)
    provenance = json.loads(sigstore.provenance(dist.filename, dist.content, **wrong))
    index.upload(dist, provenance=provenance)


def shown(cloud: LocalCloud) -> list[str]:
    key = "web/simple/demo/index.v1_json"
    page = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    return sorted(file["filename"] for file in page["files"])


@pytest.fixture
def sigstore() -> Sigstore:
    return Sigstore()


@pytest.fixture
def runtime(upstream: Server, tmp_path: Path, sigstore: Sigstore) -> Runtime:
    """Return a runtime whose layer has a trust root."""
    (tmp_path / "trusted_root.json").write_bytes(sigstore.trust_root)
    runtime = make_runtime(tmp_path, upstream)
    section = "\n[attestations]\ntrust-root = trusted_root.json\nrequire = demo\n"
    runtime.config.write_text(runtime.config.read_text() + section)
    return runtime


def test_a_forged_file_stays_out_of_the_stack(
    index: Index, runtime: Runtime, sigstore: Sigstore
) -> None:
    upload(index, "1.0", sigstore)
    with LocalCloud(runtime=runtime, parameters=PARAMETERS) as cloud:
        url = subscribe(cloud)
        go_round(cloud)
        cloud.tick("PlannerFunction")
        assert shown(cloud) == ["demo-1.0.tar.gz"]
        assert cloud.alarm_states()["InputAlarm"] is State.OK
        received(cloud, url)
        upload(index, "2.0", Sigstore())
        upload(index, "3.0", sigstore, repository="evil/demo")
        upload(index, "4.0", sigstore)

        go_round(cloud)

        assert shown(cloud) == ["demo-1.0.tar.gz", "demo-4.0.tar.gz"]
        stored = [key.rpartition("/")[2] for key in keys(cloud, "web/packages/")]
        assert sorted(stored) == shown(cloud)
        assert received(cloud, url)["Project unverified", "demo"]["files"] == 2
        cloud.tick("PlannerFunction")
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM


def test_while_the_verifier_fails_a_project_lags_and_keeps_its_files(
    index: Index, runtime: Runtime, sigstore: Sigstore
) -> None:
    upload(index, "1.0", sigstore)
    with LocalCloud(runtime=runtime, parameters=PARAMETERS) as cloud:
        go_round(cloud)
        (runtime.config.parent / "trusted_root.json").write_text(
            '{"tlogs": [{}], "ctlogs": [{}], "certificateAuthorities": [{}]}'
        )
        cloud.stop_functions()
        upload(index, "2.0", sigstore)
        index.yank("demo", "1.0")

        go_round(cloud)

        assert shown(cloud) == ["demo-1.0.tar.gz"]
        body = cloud.s3.get_object(Bucket=cloud.bucket, Key="state/lagging.json")["Body"].read()
        assert "the trust root is not valid" in json.loads(body)["projects"]["demo"]["reason"]


def test_without_the_function_a_worker_says_which_parameter_it_needs(
    index: Index, runtime: Runtime, sigstore: Sigstore
) -> None:
    upload(index, "1.0", sigstore)
    with LocalCloud(runtime=runtime) as cloud:
        assert cloud.tick("PlannerFunction")["jobs"] == 1
        with pytest.raises(FunctionFailed):
            cloud.invoke("WorkerFunction", {"Records": []})
        lines = " ".join(line.text for line in cloud.logs.lines)
        assert "needs the stack's parameter VerifyAttestations=true" in lines


def test_the_event_is_answered_with_a_publisher(runtime: Runtime) -> None:
    event = json.loads((CHECKOUT / "events/verifier.json").read_text())
    with LocalCloud(runtime=runtime, parameters=PARAMETERS) as cloud:
        answer = cloud.invoke("VerifierFunction", event)
    publisher = "github.com/example/sampleproject/release.yml"
    assert answer == {"verdicts": [{"publisher": publisher, "problem": ""}]}

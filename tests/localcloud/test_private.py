"""A private mirror: the edge asks for an access token, and `frumious token` manages them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from frumious.access.token_store import TokenStore
from frumious.access.tokens import Token, TokenError, issue
from frumious.cli.main import main
from frumious.downloads.fields import CLOUDFRONT
from localcloud import LocalCloud
from localcloud.edge import EdgeFunction
from localcloud.environment import CHECKOUT
from localcloud.stack import KEY_VALUE_STORE_ARN
from localcloud.stack_reader import StackReader, read_stack

from .conftest import ignore_line
from .test_distribution import PIP, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localcloud.stack import Distribution

NOW = 1_800_000_000
PATHS = [
    "/",
    "/simple/",
    "/simple/six/",
    "/simple/Six",
    "/packages/aa/bb/cc/six-1.0-py3-none-any.whl",
    "/status.json",
    "/missing",
    "/simple/../x",
]


@pytest.fixture(scope="module")
def private(stub_template: Path) -> Iterator[LocalCloud]:
    """A stack with AccessTokens=true and two objects in its bucket."""
    parameters = {"AccessTokens": "true"}
    with LocalCloud(stub_template, parameters=parameters, on_line=ignore_line) as cloud:
        for key in ("web/simple/six/index.v1_json", "web/status.json"):
            cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=b"{}")
        yield cloud


@pytest.fixture(scope="module")
def distribution() -> Distribution:
    template = CHECKOUT / "template.yaml"
    parameters = {"AccessTokens": "true"}
    return read_stack(template, endpoint="http://aws.test", parameters=parameters).distribution


def token(cloud: LocalCloud, *arguments: str) -> Result:
    """Run `frumious token` against the stack's store."""
    runner = CliRunner(env={**cloud.key_value_store.environment, "COLUMNS": "120"})
    return runner.invoke(main, ["token", *arguments])


def add(cloud: LocalCloud, name: str, *options: str) -> str:
    done = token(cloud, "add", name, *options)
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def answered(
    distribution: Distribution, store: dict[str, str] | None, authorization: str | None
) -> int:
    """Return the status with which the edge function answers, or 200 if it forwards."""
    code = distribution.behaviors[-1].edge_code
    assert code is not None
    headers = {} if authorization is None else {"Authorization": authorization}
    result = EdgeFunction(code, store)("GET", "/simple/six/", headers)
    assert "statusCode" in result or "authorization" not in result["headers"]
    return int(result.get("statusCode", 200))


@pytest.mark.parametrize("path", PATHS)
def test_every_path_requires_a_token(private: LocalCloud, path: str) -> None:
    response = request(private, path, Accept=PIP)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="frumious"'
    assert response.headers["Cache-Control"] == "no-store"


def test_every_behavior_authenticates(distribution: Distribution) -> None:
    for behavior in distribution.behaviors:
        assert behavior.edge_code is not None
        assert "authenticated(event.request)" in behavior.edge_code
        assert behavior.key_value_store is not None


def test_no_shared_cache_keeps_what_needs_a_token(distribution: Distribution) -> None:
    """RFC 9111, 3.5: with `public` or `s-maxage` it may, and serves it to clients without one."""
    for behavior in distribution.behaviors:
        control = behavior.added_headers.get("Cache-Control", "")
        assert control.startswith("private, max-age="), behavior.pattern
        assert "s-maxage" not in control


def test_a_public_mirror_depends_on_no_store() -> None:
    stack = read_stack(CHECKOUT / "template.yaml", endpoint="http://aws.test", parameters={})
    for behavior in stack.distribution.behaviors:
        assert "kvs" not in (behavior.edge_code or "")
        assert behavior.key_value_store is None


@pytest.mark.parametrize("username", ["ci", "__token__", "", "anyone@else", "Jürgen"])
def test_a_token_is_the_password_and_the_username_does_not_matter(
    private: LocalCloud, username: str
) -> None:
    name = f"user-{len(username)}"
    secret = add(private, name)
    response = request(private, "/simple/six/", Accept=PIP, Authorization=basic(username, secret))
    assert (response.status, response.body) == (200, b"{}")
    assert request(private, "/missing", Authorization=basic(username, secret)).status == 404


def test_a_revoked_token_is_refused(private: LocalCloud) -> None:
    kept, secret = add(private, "kept"), add(private, "left.the-team")
    assert token(private, "revoke", "left.the-team").exit_code == 0
    assert request(private, "/status.json", Authorization=basic("x", secret)).status == 401
    assert request(private, "/status.json", Authorization=basic("x", kept)).status == 200


def test_the_store_has_no_secret(private: LocalCloud) -> None:
    secret = add(private, "hashed")
    stored = private.key_value_store.values["hashed"]
    assert json.loads(stored)["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.rpartition("_")[2] not in str(private.key_value_store.values)


def test_a_secret_is_printed_once(private: LocalCloud) -> None:
    done = token(private, "add", "once", "--days", "30")
    secret = done.stdout.strip()
    assert re.fullmatch(r"frumious_once_[0-9a-f]{48}", secret)
    assert re.search(r"once is valid until \d{4}-\d\d-\d\d \d\d:\d\d UTC", done.stderr)
    for listed in (token(private, "list"), token(private, "list", "--json")):
        assert "once" in listed.stdout
        assert secret.rpartition("_")[2] not in listed.stdout + listed.stderr
        assert hashlib.sha256(secret.encode()).hexdigest() not in listed.stdout


def test_tokens_are_listed_with_their_expiry(private: LocalCloud) -> None:
    private.key_value_store.values.clear()
    assert json.loads(token(private, "list", "--json").stdout) == []
    for number in range(12):  # more than one page
        add_directly(private, f"many-{number:02}", days=1)
    add_directly(private, "old", days=1, now=NOW - 300 * 86400 * 20)
    add_directly(private, "eternal", days=None)
    rows = json.loads(token(private, "list", "--json").stdout)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert len(rows) == 14
    expiry = {row["name"]: (row["expires"], row["expired"]) for row in rows}
    assert expiry["eternal"] == (None, False)
    assert expiry["old"][1] is True
    table = token(private, "list").stdout
    assert re.search(r"old .* UTC \(expired\)", table)
    assert re.search(r"eternal .* never", table)


def add_directly(cloud: LocalCloud, name: str, *, days: int | None, now: int = NOW) -> None:
    cloud.key_value_store.values[name] = issue(name, now, days=days)[1].to_json()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("add", "taken"), 1, "there is a token 'taken': revoke it first"),
        (("add", "a_b"), 1, "'a_b' is not a token's name"),
        (("add", ""), 1, "'' is not a token's name"),
        (("add", "Jürgen"), 1, "is not a token's name"),
        (("add", "x" * 65), 1, "is not a token's name"),
        (("add", "x", "--days", "0"), 2, "--days"),
        (("revoke", "nobody"), 1, "there is no token 'nobody'"),
        (("list", "--store", "arn:aws:s3:::bucket"), 1, "is not a store's ARN"),
        (
            ("list", "--store", f"arn:aws:cloudfront::123456789012:key-value-store/{'1' * 36}"),
            1,
            "ResourceNotFoundException",
        ),
    ],
)
def test_a_mistake_is_explained(
    private: LocalCloud, arguments: tuple[str, ...], status: int, message: str
) -> None:
    private.key_value_store.values["taken"] = "{}"
    done = token(private, *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert private.key_value_store.values["taken"] == "{}"


def test_two_changes_at_once_both_count(
    private: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's ETag covers all keys, so that the slower one tries again."""
    for name, value in private.key_value_store.environment.items():
        monkeypatch.setenv(name, value)
    private.key_value_store.values.clear()
    stores = [TokenStore(KEY_VALUE_STORE_ARN) for _ in range(4)]
    with ThreadPoolExecutor(4) as executor:
        for number, store in enumerate(stores):
            executor.submit(store.add, issue(f"t{number}", NOW)[1])
    assert private.key_value_store.values.keys() == {"t0", "t1", "t2", "t3"}


SECRET, RECORD = issue("ci", NOW)
STORE = {"ci": RECORD.to_json()}


def test_the_edge_accepts_the_secret_that_the_command_issues(distribution: Distribution) -> None:
    assert answered(distribution, STORE, basic("ci", SECRET)) == 200
    assert answered(distribution, STORE, basic("ci", SECRET).replace("Basic", "bAsIc")) == 200


# No ids of their own: the secret is another one in each process that collects the tests.
REFUSED = [
    None,
    "",
    "Basic",
    "Basic ",
    "Basic ====",
    "Basic not base64!",
    "Basic \u00fc",
    f"Bearer {SECRET}",
    f"Basic {SECRET}",
    "Basic " + base64.b64encode(SECRET.encode()).decode(),  # no colon
    "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    basic("ci", ""),
    basic(SECRET, ""),
    basic("ci", SECRET[:-1]),
    basic("ci", SECRET + "0"),
    basic("ci", SECRET.upper()),
    basic("ci", f" {SECRET}"),
    basic("ci", f"{SECRET}\n"),
    basic("ci", SECRET[:-1] + ("0" if SECRET[-1] != "0" else "1")),
    basic("ci", SECRET.replace("_ci_", "_other_")),
    basic("ci", SECRET.replace("_ci_", "_../ci_")),
    basic("ci", SECRET.replace("_ci_", "___proto___")),
    basic("ci", RECORD.sha256),
    basic("ci", "frumious_ci_" + RECORD.sha256[:48]),
    basic("c" * 20_000, SECRET[:-1]),
    "Basic " + "A" * 20_000,
]


@pytest.mark.parametrize("authorization", REFUSED, ids=range(len(REFUSED)))
def test_the_edge_refuses_everything_else(
    distribution: Distribution, authorization: str | None
) -> None:
    assert answered(distribution, STORE, authorization) == 401


@pytest.mark.parametrize("expires", [1, NOW - 86400 * 365 * 10])
def test_the_edge_refuses_an_expired_token(distribution: Distribution, expires: int) -> None:
    expired = Token("ci", RECORD.sha256, 0, expires)
    assert answered(distribution, {"ci": expired.to_json()}, basic("ci", SECRET)) == 401
    valid = Token("ci", RECORD.sha256, 0, NOW * 2)
    assert answered(distribution, {"ci": valid.to_json()}, basic("ci", SECRET)) == 200


@pytest.mark.parametrize(
    "store",
    [
        None,  # not associated
        {},
        {"ci": ""},
        {"ci": "null"},
        {"ci": "not JSON"},
        {"ci": "{}"},
        {"ci": json.dumps({"sha256": RECORD.sha256})},  # without an expiry
        {"ci": json.dumps({"sha256": RECORD.sha256, "expires": "never"})},
        {"ci": json.dumps({"sha256": "", "expires": None})},
        {"ci": json.dumps({"sha256": RECORD.sha256[:32], "expires": None})},
    ],
)
def test_a_store_that_does_not_work_opens_nothing(
    distribution: Distribution, store: dict[str, str] | None
) -> None:
    assert answered(distribution, store, basic("ci", SECRET)) == 401


@pytest.mark.parametrize(
    "changes",
    [{"expires": "never"}, {"expires": -1}, {"created": 10**30}, {"created": float("inf")}],
)
def test_an_entry_that_is_no_token_is_named(changes: dict[str, Any]) -> None:
    record = {"sha256": "ab" * 32, "created": 0, "expires": None, **changes}
    for text in ("[]", json.dumps(record)):
        with pytest.raises(TokenError, match="'x' is not a token"):
            Token.from_json("x", text)


def test_access_logs_name_the_token_and_no_secret(distribution: Distribution) -> None:
    secret, record = issue("team-a", 0)
    code = distribution.behaviors[-1].edge_code
    assert code is not None
    edge = EdgeFunction(code, {"team-a": record.to_json()})

    def logged(password: str) -> str | None:
        edge("GET", "/simple/six/", {"Authorization": basic("x", password)})
        return edge.logged

    assert logged(secret) == "team-a"
    assert logged(secret[:-1] + ("1" if secret.endswith("0") else "0")) is None
    assert logged("no token") is None
    reading = StackReader(
        CHECKOUT / "template.yaml",
        "http://aws.test",
        {"AccessTokens": "true", "AccessLogs": "true"},
    )
    fields = reading.resources["AccessLogDelivery"]["Properties"]["RecordFields"]
    assert fields == [*CLOUDFRONT, "viewer-request-log-data"]


def test_an_edge_that_cannot_log_the_token_serves_its_client(distribution: Distribution) -> None:
    secret, record = issue("team-a", 0)
    code = distribution.behaviors[-1].edge_code
    assert code is not None
    edge = EdgeFunction(
        f"delete _modules.cloudfront.logCustomData;\n{code}", {"team-a": record.to_json()}
    )

    request = edge("GET", "/simple/six/", {"Authorization": basic("x", secret)})

    assert "statusCode" not in request

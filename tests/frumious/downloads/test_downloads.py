"""`frumious downloads`: what it answers, by logs in the formats of CloudFront and nginx."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from frumious.downloads.fields import CLOUDFRONT
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.frumious.downloads import lines
from tests.frumious.downloads.lines import PIP, POETRY, UV, WHEEL, combined, legacy, values

if TYPE_CHECKING:
    from pathlib import Path

SDIST = "six-1.16.0.tar.gz"
LOG_FORMAT = (
    '$remote_addr [$time_iso8601] $request_method "$request_uri" $status "$http_user_agent"'
)


def answered(*arguments: str, status: int = 0) -> Any:
    done = frumious("downloads", "--json", *arguments)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def clients(log: Path, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    subjects = [] if arguments and not arguments[0].startswith("-") else ["six"]
    found = answered(*subjects, *arguments, "--logs", str(log), status=status)["clients"]
    assert isinstance(found, list)
    return found


def written(folder: Path, body: str | bytes, name: str = "access.log") -> Path:
    log = folder / name
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(body.encode() if isinstance(body, str) else body)
    return log


PLAIN = " ".join(CLOUDFRONT) + "\n" + " ".join(values().values()) + "\n"


@pytest.mark.parametrize(
    "body",
    [
        legacy(values()),
        lines.packed(legacy(values())),
        legacy(values(), delimiter=","),
        lines.as_json(values()),
        lines.as_json({**values(), "timestamp": "1795168800", "c-country": "DE"}),
        PLAIN,
        "\t".join(values().values()),  # `raw` has no header
        combined(),
        combined().replace("\n", "\r\n"),
        json.dumps(
            {
                "time_iso8601": "2026-11-20T11:00:00+01:00",
                "remote_addr": "192.0.2.24",
                "request": f"GET {lines.path(WHEEL)} HTTP/1.1",
                "status": 200,
                "body_bytes_sent": 11053,
                "http_user_agent": PIP,
            }
        ),
    ],
    ids=[
        *("legacy", "gzip", "commas", "json", "json-more", "plain", "raw", "combined", "crlf"),
        "nginx-json",
    ],
)
def test_all_formats_say_the_same(body: str | bytes, tmp_path: Path) -> None:
    assert clients(written(tmp_path, body)) == [
        {
            "filename": WHEEL,
            "project": "six",
            "version": "1.16.0",
            "address": "192.0.2.24",
            "forwarded_for": None,
            "user": None,
            "agent": PIP,
            "installer": "pip 24.3.1",
            "python": "3.12.1",
            "system": "Debian GNU/Linux 12",
            "ci": None,
            "downloads": 1,
            "partial": 0,
            "bytes": 11053,
            "first": "2026-11-20T10:00:00Z",
            "last": "2026-11-20T10:00:00Z",
        }
    ]


def test_a_log_format_of_ones_own_is_read(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        f'192.0.2.7 [2026-11-20T10:00:00+00:00] GET "{lines.path(SDIST)}" 200 "{POETRY}"\n',
    )

    (client,) = clients(log, "--log-format", LOG_FORMAT)

    assert (client["address"], client["filename"], client["agent"]) == ("192.0.2.7", SDIST, POETRY)


def test_a_client_is_an_address_with_what_is_behind_it(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        legacy(
            values(),
            values(time="11:30:00"),
            values(agent=UV),
            values(x_forwarded_for="198.51.100.9"),
        )
        + "",
    )

    found = {
        (client["installer"], client["forwarded_for"]): (client["downloads"], client["last"])
        for client in clients(log)
    }

    assert found == {
        ("pip 24.3.1", None): (2, "2026-11-20T11:30:00Z"),
        ("pip 24.3.1", "198.51.100.9"): (1, "2026-11-20T10:00:00Z"),
        ("uv 0.9.5", None): (1, "2026-11-20T10:00:00Z"),
    }


def test_users_and_names_of_access_tokens_are_shown(tmp_path: Path) -> None:
    token = lines.as_json({**values(), "viewer-request-log-data": "team-a"})
    user = combined(user="alice smith")

    found = [client["user"] for client in clients(written(tmp_path, token + user))]

    assert sorted(found) == ["alice smith", "team-a"]


@pytest.mark.parametrize(
    "line",
    [
        combined(status=304),
        combined(status=404),
        combined(status=403),
        combined(method="HEAD"),
        combined(f"{WHEEL}.metadata"),
        combined().replace(lines.path(WHEEL), "/simple/six/"),
        combined().replace(lines.path(WHEEL), f"/integrity/six/1.16.0/{WHEEL}/provenance"),
        combined("sixer-1.16.0.tar.gz"),
        combined("six-extras-1.16.0.tar.gz"),
        combined().replace(f"GET {lines.path(WHEEL)} HTTP/1.1", r"\x16\x03\x01\x02"),
    ],
)
def test_other_requests_are_no_downloads(line: str, tmp_path: Path) -> None:
    assert clients(written(tmp_path, line)) == []


def test_parts_of_files_are_counted_apart(tmp_path: Path) -> None:
    log = written(tmp_path, combined(status=206) + combined(status=206) + combined())

    (client,) = clients(log)

    assert (client["downloads"], client["partial"], client["bytes"]) == (1, 2, 3 * 11053)


def test_who_asked_in_vain_is_found_by_status(tmp_path: Path) -> None:
    log = written(tmp_path, combined(status=404, ip="192.0.2.9") + combined())

    assert [client["address"] for client in clients(log, "--status", "403,404")] == ["192.0.2.9"]


@pytest.mark.parametrize(
    ("subject", "filenames"),
    [
        ("foo", ["foo-1.0.tar.gz", "Foo-1.0-py3-none-any.whl", "foo-1.0.win32-py2.7.exe"]),
        ("FOO", ["foo-1.0.tar.gz", "Foo-1.0-py3-none-any.whl", "foo-1.0.win32-py2.7.exe"]),
        ("foo==1.0.0", ["foo-1.0.tar.gz", "Foo-1.0-py3-none-any.whl", "foo-1.0.win32-py2.7.exe"]),
        ("foo-bar", ["foo-bar-1.0.tar.gz", "foo_bar-2.0+cpu-py3-none-any.whl"]),
        ("foo-bar==2.0+cpu", ["foo_bar-2.0+cpu-py3-none-any.whl"]),
        ("foo-1.0.tar.gz", ["foo-1.0.tar.gz"]),
        ("foo==3", []),
    ],
)
def test_projects_releases_and_files_are_distinguished(
    subject: str, filenames: list[str], tmp_path: Path
) -> None:
    all_files = [
        *("foo-1.0.tar.gz", "Foo-1.0-py3-none-any.whl", "foo-1.0.win32-py2.7.exe"),
        *("foo-bar-1.0.tar.gz", "foo_bar-2.0+cpu-py3-none-any.whl"),
    ]
    log = written(tmp_path, legacy(*map(values, all_files)))

    assert {client["filename"] for client in clients(log, subject)} == set(filenames)


def test_urls_that_cloudfront_encodes_twice_are_read(tmp_path: Path) -> None:
    row = values("torch-2.0+cpu-cp312-cp312-linux_x86_64.whl")
    row["cs-uri-stem"] = row["cs-uri-stem"].replace("%2B", "%252B")
    row["cs(User-Agent)"] = row["cs(User-Agent)"].replace("%20", "%2520")

    (client,) = clients(written(tmp_path, legacy(row)), "torch==2.0+cpu")

    assert (client["version"], client["installer"]) == ("2.0+cpu", "pip 24.3.1")


def test_days_are_of_utc_and_whole(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        combined(time="19/Nov/2026:23:59:59 +0000", ip="192.0.2.1")
        + combined(time="20/Nov/2026:00:30:00 +0100", ip="192.0.2.2")
        + combined(time="20/Nov/2026:00:00:00 +0000", ip="192.0.2.3")
        + combined(time="22/Nov/2026:01:59:59 +0200", ip="192.0.2.4")
        + combined(time="22/Nov/2026:00:00:00 +0000", ip="192.0.2.5"),
    )

    found = clients(log, "--from", "2026-11-20", "--to", "2026-11-21")

    assert [client["address"] for client in found] == ["192.0.2.3", "192.0.2.4"]


def test_what_is_damaged_is_counted_and_named_and_the_rest_counts(tmp_path: Path) -> None:
    cut = lines.packed(legacy(*(values(ip=f"10.0.{n // 250}.{n % 250}") for n in range(5000))))
    written(tmp_path, cut[: len(cut) // 2], "logs/cut.gz")
    written(tmp_path, combined() + "\0\0\0\n" + "x" * 70_000 + "\n" + combined(), "logs/nginx")
    written(tmp_path, b"PAR1....", "logs/other.parquet")
    written(tmp_path, "no access log", "logs/error.log")

    done = frumious("downloads", "six", "--json", "--logs", str(tmp_path / "logs"))
    answer = json.loads(done.stdout)

    assert done.returncode == 1
    assert (answer["logs"]["damaged_lines"], answer["logs"]["damaged_logs"]) == (2, 2)
    assert "nginx, line 2: the line is in no known format" in done.stderr
    assert "nginx, line 3: the line is longer than 65536 bytes" in done.stderr
    assert "other.parquet: Parquet cannot be read; let CloudFront deliver" in done.stderr
    assert "cut.gz, after line" in done.stderr
    addresses = {client["address"] for client in answer["clients"]}
    assert len(addresses) > 1000
    assert "192.0.2.24" in addresses


def test_top_projects_and_projects_that_nobody_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "mirror/web/simple"
    folder.mkdir(parents=True)
    listed = [{"name": name, "_last-serial": 1} for name in ("foo-bar", "Idle", "six", "used")]
    index = {"meta": {"api-version": "1.4", "_last-serial": 1}, "projects": listed}
    (folder / "index.v1_json").write_text(json.dumps(index))
    conf = written(tmp_path, f"[mirror]\ndirectory = {tmp_path / 'mirror'}\n", "mirror.conf")
    rows = [values(), values(), values("used-1.0.zip"), values("foo-bar-1.0.zip", status="206")]
    logs = ["--logs", str(written(tmp_path, legacy(*rows)))]

    top = answered("--top", "2", *logs)["projects"]
    never = answered("-c", str(conf), "--never", *logs)["never_downloaded"]

    assert [(each["project"], each["downloads"]) for each in top] == [("six", 2), ("used", 1)]
    assert never == [{"project": "idle"}]
    (folder / "index.v1_json").unlink()
    done = frumious("-c", str(conf), "downloads", "--never", *logs)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the mirror lists no projects" in done.stderr


def test_counts_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    from frumious.downloads.fields import Request  # noqa: PLC0415
    from frumious.downloads.tally import Tally  # noqa: PLC0415

    with closing(Tally()) as in_memory, closing(Tally(limit=3)) as on_disk:
        for number in range(100):
            status = 206 if number % 3 == 0 else 200
            request = Request(1000 - number, "GET", "", status, number, "", "", "", "")
            for tally in (in_memory, on_disk):
                tally.add((f"project-{number % 7}", "é"), request)

        assert [*on_disk.in_order_of_time()] == [*in_memory.in_order_of_time()]
        assert on_disk.top(4) == in_memory.top(4)


@pytest.mark.parametrize(
    ("question", "filename", "key"),
    [(("--top", "1"), "p{}-1.0.zip", "projects"), (("p7",), "p7-1.0.zip", "clients")],
)
def test_more_keys_than_memory_has_room_for_are_counted(
    tmp_path: Path, question: tuple[str, ...], filename: str, key: str
) -> None:
    """They are counted in a database, and Python 3.13 warns if it is not closed."""
    numbers = [*range(50_001), 50_000]
    rows = (combined(filename.format(n), ip=f"2001:db8::{n:x}", agent="x") for n in numbers)
    log = written(tmp_path, "".join(rows))

    answer = answered(*question, "--logs", str(log))[key]

    assert max(each["downloads"] for each in answer) == 2
    assert len(answer) == (1 if key == "projects" else 50_001)


def test_csv_has_a_row_for_each_client_and_no_formulas(tmp_path: Path) -> None:
    log = written(
        tmp_path, combined(agent='=HYPERLINK("http://evil.example")') + combined(agent=UV)
    )

    done = frumious("downloads", "six", "--csv", "--logs", str(log))
    rows = [*csv.DictReader(io.StringIO(done.stdout))]

    assert [row["ci"] for row in rows] == ["", "true"]
    assert rows[0]["agent"].startswith("'=HYPERLINK(")


def test_csv_without_rows_has_its_header(tmp_path: Path) -> None:
    log = written(tmp_path, combined())

    def header(*arguments: str) -> list[str]:
        done = frumious("downloads", *arguments, "--csv", "--logs", str(log))
        return done.stdout.splitlines()

    assert header("other") == header("six")[:1]
    assert header("--top", "1", "--from", "2030-01-01") == header("--top", "1")[:1]


def test_a_table_has_no_control_characters_of_clients(tmp_path: Path) -> None:
    log = written(
        tmp_path, legacy({**values(), "cs(User-Agent)": "%1B]0;evil%07[bold]x", "c-ip": "%1B[2J"})
    )

    done = frumious("downloads", "six==1.16.0", "--logs", str(log))

    assert "\x1b" not in done.stdout
    assert "[bold]" in done.stdout.replace("\n", "").replace(" ", "")
    assert done.stderr == (
        "Read 1 log with 1 request of 2026-11-20 10:00:00 to 2026-11-20 10:00:00 UTC.\n"
    )


def test_a_row_of_a_table_has_one_line_in_a_pipe_whatever_its_width(tmp_path: Path) -> None:
    log = written(tmp_path, combined(agent=UV))
    command = [sys.executable, "-m", "frumious.cli", "downloads", "six", "--logs", str(log)]
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "COLUMNS"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    (row,) = (line for line in done.stdout.splitlines() if "uv" in line)
    assert "six-1.16.0-py2.py3-none-any.whl" in row
    assert "2026-11-20 10:00" in row


def test_standard_input_and_patterns_are_read(tmp_path: Path) -> None:
    written(tmp_path, combined(ip="192.0.2.1"), "access.log")
    written(tmp_path, lines.packed(combined(ip="192.0.2.2")), "access.log.2.gz")
    command = [sys.executable, "-m", "frumious.cli", "downloads", "six", "--json", "--logs", "-"]

    piped = subprocess.run(
        command,
        env=ENVIRONMENT,
        input=lines.packed(combined()),
        capture_output=True,
        check=True,
    )

    assert len(json.loads(piped.stdout)["clients"]) == 1
    assert len(clients(tmp_path / "access.log*")) == 2


def test_nobody_is_an_answer_but_no_logs_are_none(tmp_path: Path) -> None:
    log = written(tmp_path, combined())

    nobody = frumious("downloads", "other", "--logs", str(log))
    late = frumious("downloads", "six", "--from", "2027-01-01", "--logs", str(log))
    missing = frumious("downloads", "six", "--logs", str(tmp_path / "missing"))

    assert (nobody.returncode, nobody.stdout) == (0, "Nobody.\n")
    assert "Read 1 log: there are no requests of these days." in late.stderr
    assert missing.returncode == 1
    assert "there are no logs at" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["six"], "name the logs"),
        (["--logs", "x"], "name projects, releases or files, or use --top or --never"),
        (["six", "--top", "3", "--logs", "x"], "or use --top or --never"),
        (["six=1.0", "--logs", "x"], "'six=1.0' is no project"),
        (["six==", "--logs", "x"], "'six==' is no project"),
        (["six", "--logs", "x", "--from", "yesterday"], "is not a day such as 2026-11-28"),
        (
            ["six", "--logs", "x", "--from", "2026-11-02", "--to", "2026-11-01"],
            "--to is before --from",
        ),
        (["six", "--logs", "x", "--status", "ok"], "is not a list of statuses"),
        (["six", "--logs", "x", "--log-format", "$status$request"], "nothing separates $status"),
        (["six", "--logs", "x", "--log-format", "$host $status"], "time, request or status are"),
        (["six", "--logs", "x", "--json", "--csv"], "--json and --csv exclude each other"),
    ],
)
def test_a_command_line_that_cannot_be_used_is_refused(arguments: list[str], message: str) -> None:
    done = frumious("downloads", *arguments)

    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())

"""`frumious downloads` reads what nginx really logs of pip and uv."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import get
from tests.frumious.cli.test_cli import frumious
from tests.installers import PIP, UV, install
from tests.serving.folder import write_mirror
from tests.serving.nginx import Nginx
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.servers

JSON_FORMAT = (
    'log_format json escape=json \'{"time":"$time_iso8601","remote_addr":"$remote_addr",'
    '"request":"$request","status":$status,"body_bytes_sent":$body_bytes_sent,'
    '"http_user_agent":"$http_user_agent"}\';\n    '
)
OWN_FORMAT = "$time_iso8601|$remote_addr|$status|$request_method|$request_uri|$http_user_agent"


@pytest.mark.parametrize(
    ("definition", "name", "options"),
    [
        ("", "combined", ()),
        (JSON_FORMAT, "json", ()),
        (f"log_format own '{OWN_FORMAT}';\n    ", "own", ("--log-format", OWN_FORMAT)),
    ],
)
def test_downloads_of_pip_and_uv_are_in_nginx_own_log(
    definition: str, name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    dists = [wheel("needy", "1.0"), wheel("other", "2.0"), sdist("unused", "3.0")]
    keys = write_mirror(mirror, dists, hash_index=False)
    log = tmp_path / "access.log"
    server = Nginx(mirror, tmp_path / "nginx")
    configuration = tmp_path / "nginx/nginx.conf"
    text = configuration.read_text()
    assert text.count("access_log off;") == 1
    configuration.write_text(
        text.replace("access_log off;", f"{definition}access_log {log} {name};")
    )
    with server:
        for number, installer in enumerate((PIP, UV)):
            done = install(installer, server.url, tmp_path / str(number), "needy")
            assert done.returncode == 0, done.stderr
        install(PIP, server.url, tmp_path / "other", "other")
        file = keys[dists[0].filename].removeprefix("web")
        assert get(f"{server.url}{file}.metadata").status == 200
        assert get(f"{server.url}{file}.missing").status == 404

    def answer(*arguments: str) -> Any:
        done = frumious("downloads", *arguments, "--json", "--logs", str(log), *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = answer("needy==1.0")["clients"]
    assert {each["installer"].partition(" ")[0] for each in found} == {"pip", "uv"}
    for each in found:
        assert (each["address"], each["filename"]) == ("127.0.0.1", dists[0].filename)
        assert (each["downloads"], each["partial"]) == (1, 0)
        assert each["python"]
    top = answer("--top", "5")["projects"]
    assert [(each["project"], each["downloads"]) for each in top] == [("needy", 2), ("other", 1)]
    conf = tmp_path / "mirror.conf"
    conf.write_text(f"[mirror]\ndirectory = {mirror}\n")
    assert answer("-c", str(conf), "--never")["never_downloaded"] == [{"project": "unused"}]

"""What clients see: the template's edge function, behaviors and headers over the bucket."""

from __future__ import annotations

import gzip
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from localcloud.edge import EdgeFunction

if TYPE_CHECKING:
    from email.message import Message

    from localcloud import LocalCloud

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"

PIP = f"{JSON}, {HTML}; q=0.1, {TEXT}; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, {TEXT};q=0.01"
POETRY = f"{JSON}, */*; q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
WHEEL = "/packages/aa/bb/cc/six-1.0-py3-none-any.whl"


@dataclass(frozen=True)
class Response:
    status: int
    headers: Message
    body: bytes


@pytest.fixture(scope="module")
def mirror(started_cloud: LocalCloud) -> LocalCloud:
    for page in ("simple", "simple/six"):
        for document, kind in (
            ("index.html", TEXT),
            ("index.v1_html", HTML),
            ("index.v1_json", JSON),
        ):
            body = f"{page} as {kind}".encode()
            put(started_cloud, f"web/{page}/{document}", body, kind)
            if page == "simple" or kind == JSON:
                put(started_cloud, f"web/gzip/{page}/{document}", gzip.compress(body), kind, "gzip")
    put(started_cloud, "web/simple/older/index.v1_json", b"older", JSON)
    put(started_cloud, "web/index.html", b"welcome", TEXT)
    put(started_cloud, f"web{WHEEL}", b"0123456789", "application/octet-stream")
    put(started_cloud, "web/packages/aa/bb/cc/a+b c.whl", b"odd", "application/octet-stream")
    put(started_cloud, "state/cursor.json", b"secret", "application/json")
    return started_cloud


def put(cloud: LocalCloud, key: str, body: bytes, kind: str, encoding: str = "") -> None:
    cloud.s3.put_object(
        Bucket=cloud.bucket,
        Key=key,
        Body=body,
        ContentType=kind,
        ContentEncoding=encoding,
        CacheControl="max-age=60",
    )


def request(cloud: LocalCloud, path: str, method: str = "GET", **headers: str) -> Response:
    """Send a request as it is: no path is normalised on the way."""
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    received = connection.getresponse()
    response = Response(received.status, received.headers, received.read())
    connection.close()
    return response


@pytest.mark.parametrize(
    ("accept", "document"),
    [
        (PIP, "index.v1_json"),
        (UV, "index.v1_json"),
        (POETRY, "index.v1_json"),
        (BROWSER, "index.html"),
        ("*/*", "index.html"),
        ("", "index.html"),
        (" , ", "index.html"),
        (None, "index.html"),
        (TEXT, "index.html"),
        (HTML, "index.v1_html"),
        (JSON.upper(), "index.v1_json"),
        ("application/vnd.pypi.simple.latest+json", "index.v1_json"),
        ("application/*", "index.v1_html"),
        (f"{TEXT}, {JSON}", "index.v1_json"),
        (f"{JSON};q=0.5, {TEXT};q=0.6", "index.html"),
        (f"{JSON} ; Q=0.5 , {HTML} ;q=0.9", "index.v1_html"),
        (f"{JSON};q=0, */*", "index.html"),
        (f"{TEXT};q=0, {HTML};q=0, */*;q=0.1", "index.v1_json"),
        (f"{JSON};charset=utf-8;q=0.9, {TEXT};q=0.1", "index.v1_json"),
        (f"{JSON};q=nonsense", "index.v1_json"),
        (f"{JSON};q=0", 406),
        ("*/*;q=0", 406),
        ("image/png", 406),
        ("application/vnd.pypi.simple.v2+json", 406),
    ],
)
def test_the_form_of_a_page_follows_accept(
    started_cloud: LocalCloud, accept: str | None, document: str | int
) -> None:
    code = started_cloud.stack.distribution.behaviors[-1].edge_code
    assert code is not None
    headers = {} if accept is None else {"Accept": accept}
    result = EdgeFunction(code)("GET", "/simple/six/", headers)
    if isinstance(document, int):
        assert result["statusCode"] == document
    else:
        assert result["uri"] == f"/simple/six/{document}"


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("gzip, deflate", True),  # pip
        ("gzip, deflate, br, zstd", True),  # uv
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("*", True),
        ("br;q=1.0, gzip;q=0.8, identity;q=0.5", True),
        ("gzip;q=0.001", True),
        ("identity;q=0, gzip", True),
        (None, False),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("notgzip, gzipped", False),
    ],
)
def test_who_accepts_gzip_may_get_the_compressed_page(
    started_cloud: LocalCloud, accept_encoding: str | None, *, compressed: bool
) -> None:
    code = started_cloud.stack.distribution.behaviors[-1].edge_code
    assert code is not None
    headers = {"Accept": PIP}
    if accept_encoding is not None:
        headers["Accept-Encoding"] = accept_encoding
    result = EdgeFunction(code)("GET", "/simple/six/", headers)

    # The header is part of the cache key: the variants must not mix.
    assert result["headers"].get("accept-encoding") == ({"value": "gzip"} if compressed else None)
    assert ("originGroup" in result) == compressed
    assert result["uri"] == "/simple/six/index.v1_json"


@pytest.mark.parametrize(
    ("path", "accept", "compressed"),
    [
        ("/simple/", PIP, True),
        ("/simple/", HTML, True),
        ("/simple/", BROWSER, True),  # it is too large for CloudFront
        ("/simple/six/", HTML, False),
        ("/simple/six/", BROWSER, False),  # CloudFront compresses text/html itself
        ("/", BROWSER, False),
        ("/status.json", "*/*", False),
        (WHEEL, "*/*", False),
    ],
)
def test_what_cloudfront_compresses_itself_has_no_variant(
    started_cloud: LocalCloud, path: str, accept: str, *, compressed: bool
) -> None:
    code = started_cloud.stack.distribution.behaviors[-1].edge_code
    assert code is not None
    headers = {"Accept": accept, "Accept-Encoding": "gzip, br"}
    result = EdgeFunction(code)("GET", path, headers)
    assert ("originGroup" in result) == compressed
    if not compressed:
        assert result["headers"]["accept-encoding"] == {"value": "gzip, br"}


def test_the_edge_function_fits_into_cloudfront(started_cloud: LocalCloud) -> None:
    code = started_cloud.stack.distribution.behaviors[-1].edge_code
    assert code is not None
    assert len(code.encode()) < 10_000


@pytest.mark.parametrize("page", ["/simple/", "/simple/six/"])
@pytest.mark.parametrize(("accept", "kind"), [(PIP, JSON), (UV, JSON), (HTML, HTML), ("*/*", TEXT)])
def test_pages_are_served_in_the_form_that_is_asked_for(
    mirror: LocalCloud, page: str, accept: str, kind: str
) -> None:
    response = request(mirror, page, Accept=accept)
    assert response.status == 200
    assert response.headers["Content-Type"] == kind
    assert response.body.endswith(kind.encode())
    assert "Accept" in response.headers["Vary"].split(", ")
    assert response.headers["Cache-Control"] == "public, max-age=20"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("page", "accept"),
    [("/simple/", PIP), ("/simple/", HTML), ("/simple/", TEXT), ("/simple/six/", UV)],
)
def test_pages_are_served_compressed(
    mirror: LocalCloud, page: str, accept: str, method: str
) -> None:
    plain = request(mirror, page, Accept=accept)
    response = request(mirror, page, method, Accept=accept, Accept_Encoding="gzip")

    assert response.status == 200
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    for name in ("Content-Type", "Vary", "Cache-Control"):
        assert response.headers[name] == plain.headers[name]
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert response.headers["ETag"] != plain.headers["ETag"]
    if method == "GET":
        assert gzip.decompress(response.body) == plain.body
    else:
        assert response.body == b""


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_page_that_has_not_changed_is_304_in_each_encoding(
    mirror: LocalCloud, encoding: str
) -> None:
    etag = request(mirror, "/simple/six/", Accept=PIP, Accept_Encoding=encoding).headers["ETag"]
    other = {"gzip": "identity", "identity": "gzip"}[encoding]

    same = request(mirror, "/simple/six/", Accept=PIP, Accept_Encoding=encoding, If_None_Match=etag)
    changed = request(mirror, "/simple/six/", Accept=PIP, Accept_Encoding=other, If_None_Match=etag)

    assert (same.status, same.body) == (304, b"")
    assert changed.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_without_a_variant_is_served_as_it_is(mirror: LocalCloud, method: str) -> None:
    response = request(mirror, "/simple/older/", method, Accept=PIP, Accept_Encoding="gzip")
    assert response.status == 200
    assert "Content-Encoding" not in response.headers
    assert response.body == (b"older" if method == "GET" else b"")


def test_a_missing_page_is_404_for_clients_that_accept_gzip(mirror: LocalCloud) -> None:
    assert request(mirror, "/simple/missing/", Accept=PIP, Accept_Encoding="gzip").status == 404


def test_a_file_is_never_compressed(mirror: LocalCloud) -> None:
    response = request(mirror, WHEEL, Accept="*/*", Accept_Encoding="gzip, br")
    assert response.body == b"0123456789"
    assert "Content-Encoding" not in response.headers


def test_an_unacceptable_accept_is_told_what_there_is(mirror: LocalCloud) -> None:
    response = request(mirror, "/simple/six/", Accept="image/png")
    assert response.status == 406
    assert JSON.encode() in response.body


def test_the_welcome_page_is_at_the_top(mirror: LocalCloud) -> None:
    assert request(mirror, "/").body == b"welcome"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple", "/simple/"),
        ("/simple/six", "/simple/six/"),
        ("/simple/Six/", "/simple/six/"),
        ("/simple/Zope.Interface_x", "/simple/zope-interface-x/"),
        ("/simple/a__b", "/simple/a-b/"),
        ("/simple/six?query=1", "/simple/six/"),
        ("/simple/%73ix/", "/simple/six/"),
        ("/simple/Zope%2Einterface%5fx", "/simple/zope-interface-x/"),
        ("/pypi/Zope.Interface_x/json", "/pypi/zope-interface-x/json"),
        ("/pypi/Six/1.0RC1/json", "/pypi/six/1.0RC1/json"),
    ],
)
def test_a_name_that_is_not_normalised_is_redirected(
    mirror: LocalCloud, path: str, location: str
) -> None:
    response = request(mirror, path, Accept=PIP)
    assert (response.status, response.headers["Location"]) == (301, location)


@pytest.mark.parametrize(
    "path",
    [
        "/simple/missing/",
        "/simple//",
        "/simple/six%2F/",
        "/simple/s%00x/",
        "/simple/%e2%82/",
        "/packages/aa/missing.whl",
        "/nothing",
        "//evil.test/",
        "/simple//evil.test/",
    ],
)
def test_what_is_missing_is_404(mirror: LocalCloud, path: str) -> None:
    response = request(mirror, path, Accept=PIP)
    assert response.status == 404
    assert request(mirror, path, method="HEAD", Accept=PIP).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../state/cursor.json",
        "/simple/../../state/cursor.json",
        "/%2e%2e/state/cursor.json",
        "/simple/..%2F..%2Fstate/cursor.json",
        "/packages/../../state/cursor.json",
        "/packages/%2E%2E/%2e%2e/state/cursor.json",
        "/packages/..%2f..%2fstate%2fcursor.json",
        "/./state/cursor.json",
        "/state/cursor.json",
    ],
)
def test_nothing_outside_of_web_can_be_reached(mirror: LocalCloud, path: str) -> None:
    response = request(mirror, path)
    assert response.status == 404
    assert b"secret" not in response.body


def test_a_file_is_served_as_it_is_stored(mirror: LocalCloud) -> None:
    response = request(mirror, WHEEL, Accept="*/*")
    assert response.body == b"0123456789"
    assert response.headers["Content-Length"] == "10"
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "Vary" not in response.headers
    assert "Content-Encoding" not in response.headers


def test_a_path_is_decoded_once(mirror: LocalCloud) -> None:
    assert request(mirror, "/packages/aa/bb/cc/a%2Bb%20c.whl").body == b"odd"
    assert request(mirror, "/packages/aa/bb/cc/a%252Bb%2520c.whl").status == 404


def test_head_tells_the_length_and_sends_nothing(mirror: LocalCloud) -> None:
    response = request(mirror, WHEEL, method="HEAD")
    assert (response.status, response.headers["Content-Length"], response.body) == (200, "10", b"")


def test_a_range_is_passed_on(mirror: LocalCloud) -> None:
    response = request(mirror, WHEEL, Range="bytes=2-4")
    assert (response.status, response.body) == (206, b"234")
    assert response.headers["Content-Range"] == "bytes 2-4/10"


def test_what_has_not_changed_is_304(mirror: LocalCloud) -> None:
    etag = request(mirror, WHEEL).headers["ETag"]
    response = request(mirror, WHEEL, If_None_Match=etag)
    assert (response.status, response.body) == (304, b"")


def test_what_has_changed_within_a_second_is_sent(mirror: LocalCloud) -> None:
    """Clients that send both conditions, as browsers do, see the change by its ETag."""
    mirror.s3.put_object(Bucket=mirror.bucket, Key="web/status.json", Body=b"old")
    before = request(mirror, "/status.json")
    mirror.s3.put_object(Bucket=mirror.bucket, Key="web/status.json", Body=b"new")
    conditions = {
        "If-None-Match": before.headers["ETag"],
        "If-Modified-Since": before.headers["Last-Modified"],
    }
    assert request(mirror, "/status.json", **conditions).body == b"new"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_readers_cannot_write(mirror: LocalCloud, method: str) -> None:
    assert request(mirror, WHEEL, method=method).status == 403

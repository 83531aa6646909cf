"""Rows beyond a single project page: other pages, URLs, files and their metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from packaging.metadata import Metadata
from packaging.utils import canonicalize_name, parse_wheel_filename

from frumious.model.jobs import Outcome
from tests.clients import HTML, JSON, TEXT, get, read_by_pip
from tests.conformance.fields import PLAIN, WHEEL, digest
from tests.conformance.index import PROVENANCE
from tests.conformance.page_views import ABSENT, PageViews, lookup, read_html
from tests.conformance.table import Row
from tests.upstream import BANDERSNATCH, HTML_ONLY, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frumious.model.jobs import Result
    from tests.world import World

MIRROR = "https://mirror.example"


def root_index(world: World, mirror: str) -> Iterator[Row]:
    """PEP 503 and 691: the root index."""
    upstream = json.loads(get(f"{world.upstream.url}/simple/", JSON).body)
    own = json.loads(get(f"{mirror}/simple/", JSON).body)
    html = read_html(get(f"{mirror}/simple/", TEXT).body)
    refused = {"future", "offering"}  # an unknown version; quarantined, though upstream lists it
    expected = {canonicalize_name(each["name"]): each for each in upstream["projects"]}
    listed = {each["name"]: each for each in own["projects"]}
    yield Row(
        pep="503",
        field="root index: the first project",
        upstream=upstream["projects"][0]["name"],
        json=own["projects"][0]["name"],
        html=html["links"][0]["href"],
        read="`packaging`'s canonicalize_name",
        right=listed.keys() == expected.keys() - refused
        and [each["href"] for each in html["links"]] == [f"{name}/" for name in listed]
        and [each["title"] for each in html["links"]] == list(listed),
        note="all projects are compared; the mirror takes the names from upstream's project pages,"
        " which have normalised ones",
    )
    yield Row(
        pep="691",
        field="root index: `_last-serial` of a project",
        upstream=lookup(expected, (PLAIN, "_last-serial")),
        json=lookup(listed, (PLAIN, "_last-serial")),
        right=all(
            listed[name]["_last-serial"] == expected[name]["_last-serial"]
            for name in expected.keys() - refused
        ),
        note="all projects are compared",
    )
    yield Row(
        pep="691",
        field="root index: `meta.api-version`",
        upstream=upstream["meta"]["api-version"],
        json=own["meta"]["api-version"],
        html=html["meta"]["pypi:repository-version"],
        right=own["meta"]["api-version"] == upstream["meta"]["api-version"],
    )
    yield Row(
        pep="792",
        field="root index: a quarantined project",
        upstream=lookup(expected, ("quarantined", "name")),
        json=lookup(listed, ("quarantined", "name")),
        html=next(
            (each["title"] for each in html["links"] if each["title"] == "quarantined"), ABSENT
        ),
        right="quarantined" not in listed and "quarantined" not in expected,
    )


def addresses(world: World, mirror: str) -> Iterator[Row]:
    """PEP 503 and 691: the pages' URLs and formats."""
    upstream, own = (
        get(f"{base}/simple/Plain_Project", TEXT) for base in (world.upstream.url, mirror)
    )
    yield Row(
        pep="503",
        field="`/simple/Plain_Project` redirects to",
        upstream=upstream.url,
        html=own.url,
        right=own.url == f"{mirror}/simple/{PLAIN}/" and own.status == 200,
    )
    upstream, own = (get(f"{base}/simple/missing/", TEXT) for base in (world.upstream.url, mirror))
    yield Row(
        pep="503",
        field="a missing project",
        upstream=upstream.status,
        json=get(f"{mirror}/simple/missing/", JSON).status,
        html=own.status,
        right=own.status == upstream.status == 404,
    )
    for accept in (JSON, HTML, TEXT, "application/vnd.pypi.simple.latest+json"):
        own = get(f"{mirror}/simple/{PLAIN}/", accept)
        kind = own.content_type.partition(";")[0]
        yield Row(
            pep="691",
            field=f"`Accept: {accept}`",
            upstream=get(f"{world.upstream.url}/simple/{PLAIN}/", accept).content_type,
            **{"json" if kind == JSON else "html": own.content_type},
            read="pip",
            right=kind == accept.replace("latest", "v1") and len(read_by_pip(own)) == 2,
        )
    both = f"{TEXT};q=0.1, {JSON}"
    own = get(f"{mirror}/simple/{PLAIN}/", both)
    yield Row(
        pep="691",
        field=f"`Accept: {both}`",
        upstream=get(f"{world.upstream.url}/simple/{PLAIN}/", both).content_type,
        json=own.content_type,
        right=own.content_type == JSON,
    )


def files(world: World, mirror: str, views: Mapping[str, PageViews]) -> Iterator[Row]:
    """The served files are those that the page describes."""
    plain = views[PLAIN]
    served = get(plain.pip_html[WHEEL].url)
    sha256 = hashlib.sha256(served.body).hexdigest()
    yield Row(
        pep="503",
        field="the linked file",
        upstream=plain.pip_upstream[WHEEL].sha256,
        json=sha256,
        html=sha256,
        read="pip",
        right=plain.pip_json[WHEEL].url == plain.pip_html[WHEEL].url
        and plain.pip_html[WHEEL].url.startswith(f"{mirror}/packages/")
        and sha256 == plain.pip_upstream[WHEEL].sha256,
    )
    body = get(f"{plain.pip_json[WHEEL].url}.metadata").body
    metadata = Metadata.from_email(body)
    name, version, *_ = parse_wheel_filename(plain.pip_json[WHEEL].filename)
    yield Row(
        pep="658 and 714",
        field="the file's `.metadata`",
        upstream=plain.pip_upstream[WHEEL].metadata,
        json=hashlib.sha256(body).hexdigest(),
        html=hashlib.sha256(body).hexdigest(),
        read="`packaging`'s Metadata, pip",
        right=hashlib.sha256(body).hexdigest() == plain.pip_upstream[WHEEL].metadata
        and (canonicalize_name(metadata.name), metadata.version) == (name, version),
    )
    names = {1: "`data-dist-info-metadata` alone", 2: "`dist-info-metadata` alone (PEP 691)"}
    others = views["metadata"]
    for number, field in names.items():
        file = others.upstream["files"][number]
        upstream = file.get("data-dist-info-metadata", file.get("dist-info-metadata"))
        own = lookup(others.json, ("files", number, "core-metadata"))
        html = lookup(others.html, ("links", number, "data-core-metadata"))
        stored = get(f"{others.pip_json[number].url}.metadata")
        yield Row(
            pep="658 and 714",
            field=field,
            upstream=upstream,
            json=own,
            html=html,
            read="pip",
            right=own == upstream
            and html == digest(upstream)
            and "dist-info-metadata" not in others.json["files"][number]
            and others.pip_json[number].metadata == others.pip_html[number].metadata
            and hashlib.sha256(stored.body).hexdigest() == upstream["sha256"],
            note="mirrored under PEP 714's names",
        )
    path = plain.json["files"][WHEEL]["provenance"].removeprefix(world.upstream.url)
    provenance = get(f"{mirror}{path}")
    yield Row(
        pep="740",
        field="the provenance itself",
        upstream=PROVENANCE,
        json=json.loads(provenance.body),
        right=json.loads(provenance.body) == PROVENANCE
        and provenance.content_type == "application/vnd.pypi.integrity.v1+json",
        note="has the same path as upstream's",
    )


def with_root_uri(world: World, mirror: str, path: str) -> Iterator[Row]:
    """PEP 503, 740: `root_uri` is configured."""
    world.configure(f"root_uri = {MIRROR}")
    world.sync(PLAIN, run="with-root-uri")
    views = PageViews.of(world.upstream.url, mirror, PLAIN)
    upstream, own = (page["files"][WHEEL] for page in (views.upstream, views.json))
    html = views.html["links"][WHEEL]
    yield Row(
        pep="503",
        field="`url`, `href` with `root_uri`",
        upstream=upstream["url"],
        json=own["url"],
        html=html["href"],
        read="pip",
        right=own["url"] == html["href"] == upstream["url"].replace(world.upstream.url, MIRROR)
        and views.pip_json[WHEEL].url == views.pip_html[WHEEL].url == own["url"],
    )
    yield Row(
        pep="740",
        field="`provenance` with `root_uri`",
        upstream=upstream["provenance"],
        json=own["provenance"],
        html=html["data-provenance"],
        right=own["provenance"] == html["data-provenance"] == f"{MIRROR}{path}",
    )


def unknown_version(mirror: str, result: Result) -> Row:
    """PEP 629: a client must refuse an unknown major version."""
    own = [get(f"{mirror}/simple/future/", accept).status for accept in (JSON, TEXT)]
    return Row(
        pep="629",
        field="version 2.0",
        upstream="2.0",
        json=own[0],
        html=own[1],
        right=own == [404, 404] and result.outcome is Outcome.FAILED and "2.0" in str(result.error),
        note="the project is reported as lagging, and the mirror keeps its page, if it has one",
    )


def other_upstreams(world: World, mirror: str) -> Iterator[Row]:
    """Upstreams of other kinds, and what the mirror serves for them."""
    world.configure()
    world.index.upload(wheel("serial", "1.0"))
    world.upstream.personality = BANDERSNATCH
    world.sync("serial")
    views = PageViews.of(world.upstream.url, mirror, "serial")
    upstream, own = (page["meta"]["_last-serial"] for page in (views.upstream, views.json))
    yield Row(
        pep="691",
        field="`meta._last-serial`, as bandersnatch writes it",
        upstream=upstream,
        json=own,
        html=views.html["serial"],
        right=isinstance(upstream, str)
        and own == int(upstream)
        and views.html["serial"] == upstream,
    )
    world.index.upload(wheel("links", "1.0", requires_python=">=3.9"), yanked="bad <b>")
    world.upstream.personality = replace(HTML_ONLY, api_version="1.4")
    world.sync("links")
    views = PageViews.of(world.upstream.url, mirror, "links")
    (anchor,), (own,), (html,) = views.upstream["links"], views.json["files"], views.html["links"]
    read: dict[str, tuple[Any, Any, Any]] = {
        "`data-requires-python`": (
            anchor["data-requires-python"],
            own["requires-python"],
            html["data-requires-python"],
        ),
        "`data-yanked`": (anchor["data-yanked"], own["yanked"], html["data-yanked"]),
        "hash": (anchor["#"], digest(own["hashes"]), html["#"]),
        "`data-core-metadata`": (
            anchor["data-core-metadata"],
            digest(own["core-metadata"]),
            html["data-core-metadata"],
        ),
    }
    for field, (in_upstream, in_json, in_html) in read.items():
        yield Row(
            pep="503",
            field=f"an index without JSON: {field}",
            upstream=in_upstream,
            json=in_json,
            html=in_html,
            read="pip",
            right=in_upstream == in_json == in_html
            and views.pip_upstream[0].without_host == views.pip_json[0].without_host
            and views.pip_upstream[0].without_host == views.pip_html[0].without_host,
        )
    yield Row(
        pep="700",
        field="no `versions`, no `size`: an index without JSON that claims 1.4",
        upstream=views.upstream["meta"]["pypi:repository-version"],
        json=views.json["meta"]["api-version"],
        html=views.html["meta"]["pypi:repository-version"],
        right=views.json["meta"]["api-version"] == "1.0"
        and "versions" not in views.json
        and "size" not in own,
        note="version 1.1 and later require both in JSON, so the mirror does not claim it",
    )

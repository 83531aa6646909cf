"""What one page alone does not show: other pages, addresses, what is stored beside files."""

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
from tests.conformance.seen import ABSENT, Seen, look, read_html
from tests.conformance.table import Row
from tests.upstream import BANDERSNATCH, HTML_ONLY, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frumious.model.jobs import Result
    from tests.world import World

MIRROR = "https://mirror.example"


def root_index(world: World, mirror: str) -> Iterator[Row]:
    """PEP 503 and 691: the list of projects."""
    said = json.loads(get(f"{world.upstream.url}/simple/", JSON).body)
    own = json.loads(get(f"{mirror}/simple/", JSON).body)
    html = read_html(get(f"{mirror}/simple/", TEXT).body)
    refused = {"future", "offering"}  # an unknown version; quarantined, though upstream lists it
    wanted = {canonicalize_name(each["name"]): each for each in said["projects"]}
    listed = {each["name"]: each for each in own["projects"]}
    yield Row(
        pep="503",
        field="root index: the first project",
        said=said["projects"][0]["name"],
        json=own["projects"][0]["name"],
        html=html["links"][0]["href"],
        read="`packaging`'s canonicalize_name",
        right=listed.keys() == wanted.keys() - refused
        and [each["href"] for each in html["links"]] == [f"{name}/" for name in listed]
        and [each["title"] for each in html["links"]] == list(listed),
        note="all of them are compared; upstream's project pages, from which the mirror has them,"
        " say normalised names",
    )
    yield Row(
        pep="691",
        field="root index: `_last-serial` of a project",
        said=look(wanted, (PLAIN, "_last-serial")),
        json=look(listed, (PLAIN, "_last-serial")),
        right=all(
            listed[name]["_last-serial"] == wanted[name]["_last-serial"]
            for name in wanted.keys() - refused
        ),
        note="all of them are compared",
    )
    yield Row(
        pep="691",
        field="root index: `meta.api-version`",
        said=said["meta"]["api-version"],
        json=own["meta"]["api-version"],
        html=html["meta"]["pypi:repository-version"],
        right=own["meta"]["api-version"] == said["meta"]["api-version"],
    )
    yield Row(
        pep="792",
        field="root index: a quarantined project",
        said=look(wanted, ("quarantined", "name")),
        json=look(listed, ("quarantined", "name")),
        html=next(
            (each["title"] for each in html["links"] if each["title"] == "quarantined"), ABSENT
        ),
        right="quarantined" not in listed and "quarantined" not in wanted,
    )


def addresses(world: World, mirror: str) -> Iterator[Row]:
    """PEP 503 and 691: where pages are, and in which form they come."""
    said, own = (get(f"{base}/simple/Plain_Project", TEXT) for base in (world.upstream.url, mirror))
    yield Row(
        pep="503",
        field="`/simple/Plain_Project` leads to",
        said=said.url,
        html=own.url,
        right=own.url == f"{mirror}/simple/{PLAIN}/" and own.status == 200,
    )
    said, own = (get(f"{base}/simple/missing/", TEXT) for base in (world.upstream.url, mirror))
    yield Row(
        pep="503",
        field="a project that is not there",
        said=said.status,
        json=get(f"{mirror}/simple/missing/", JSON).status,
        html=own.status,
        right=own.status == said.status == 404,
    )
    for accept in (JSON, HTML, TEXT, "application/vnd.pypi.simple.latest+json"):
        own = get(f"{mirror}/simple/{PLAIN}/", accept)
        kind = own.content_type.partition(";")[0]
        yield Row(
            pep="691",
            field=f"`Accept: {accept}`",
            said=get(f"{world.upstream.url}/simple/{PLAIN}/", accept).content_type,
            **{"json" if kind == JSON else "html": own.content_type},
            read="pip",
            right=kind == accept.replace("latest", "v1") and len(read_by_pip(own)) == 2,
        )
    both = f"{TEXT};q=0.1, {JSON}"
    own = get(f"{mirror}/simple/{PLAIN}/", both)
    yield Row(
        pep="691",
        field=f"`Accept: {both}`",
        said=get(f"{world.upstream.url}/simple/{PLAIN}/", both).content_type,
        json=own.content_type,
        right=own.content_type == JSON,
    )


def beside_files(world: World, mirror: str, seen: Mapping[str, Seen]) -> Iterator[Row]:
    """What a page promises of a file is what is served."""
    plain = seen[PLAIN]
    served = get(plain.pip_html[WHEEL].url)
    sha256 = hashlib.sha256(served.body).hexdigest()
    yield Row(
        pep="503",
        field="the file behind the link",
        said=plain.pip_said[WHEEL].sha256,
        json=sha256,
        html=sha256,
        read="pip",
        right=plain.pip_json[WHEEL].url == plain.pip_html[WHEEL].url
        and plain.pip_html[WHEEL].url.startswith(f"{mirror}/packages/")
        and sha256 == plain.pip_said[WHEEL].sha256,
    )
    body = get(f"{plain.pip_json[WHEEL].url}.metadata").body
    metadata = Metadata.from_email(body)
    name, version, *_ = parse_wheel_filename(plain.pip_json[WHEEL].filename)
    yield Row(
        pep="658 and 714",
        field="the `.metadata` beside the file",
        said=plain.pip_said[WHEEL].metadata,
        json=hashlib.sha256(body).hexdigest(),
        html=hashlib.sha256(body).hexdigest(),
        read="`packaging`'s Metadata, pip",
        right=hashlib.sha256(body).hexdigest() == plain.pip_said[WHEEL].metadata
        and (canonicalize_name(metadata.name), metadata.version) == (name, version),
    )
    names = {1: "`data-dist-info-metadata` alone", 2: "`dist-info-metadata` alone (PEP 691)"}
    others = seen["metadata"]
    for number, field in names.items():
        there = others.said["files"][number]
        said = there.get("data-dist-info-metadata", there.get("dist-info-metadata"))
        own = look(others.json, ("files", number, "core-metadata"))
        html = look(others.html, ("links", number, "data-core-metadata"))
        stored = get(f"{others.pip_json[number].url}.metadata")
        yield Row(
            pep="658 and 714",
            field=field,
            said=said,
            json=own,
            html=html,
            read="pip",
            right=own == said
            and html == digest(said)
            and "dist-info-metadata" not in others.json["files"][number]
            and others.pip_json[number].metadata == others.pip_html[number].metadata
            and hashlib.sha256(stored.body).hexdigest() == said["sha256"],
            note="mirrored, and said again under PEP 714's names",
        )
    path = plain.json["files"][WHEEL]["provenance"].removeprefix(world.upstream.url)
    provenance = get(f"{mirror}{path}")
    yield Row(
        pep="740",
        field="the provenance itself",
        said=PROVENANCE,
        json=json.loads(provenance.body),
        right=json.loads(provenance.body) == PROVENANCE
        and provenance.content_type == "application/vnd.pypi.integrity.v1+json",
        note="at the same path as upstream's",
    )


def with_an_address(world: World, mirror: str, path: str) -> Iterator[Row]:
    """PEP 503, 740: `root_uri` is configured."""
    world.configure(f"root_uri = {MIRROR}")
    world.sync(PLAIN, run="with-root-uri")
    seen = Seen.of(world.upstream.url, mirror, PLAIN)
    said, own = (page["files"][WHEEL] for page in (seen.said, seen.json))
    html = seen.html["links"][WHEEL]
    yield Row(
        pep="503",
        field="`url`, `href` with `root_uri`",
        said=said["url"],
        json=own["url"],
        html=html["href"],
        read="pip",
        right=own["url"] == html["href"] == said["url"].replace(world.upstream.url, MIRROR)
        and seen.pip_json[WHEEL].url == seen.pip_html[WHEEL].url == own["url"],
    )
    yield Row(
        pep="740",
        field="`provenance` with `root_uri`",
        said=said["provenance"],
        json=own["provenance"],
        html=html["data-provenance"],
        right=own["provenance"] == html["data-provenance"] == f"{MIRROR}{path}",
    )


def unknown_version(mirror: str, result: Result) -> Row:
    """PEP 629: a version that nobody here knows must not be read."""
    own = [get(f"{mirror}/simple/future/", accept).status for accept in (JSON, TEXT)]
    return Row(
        pep="629",
        field="version 2.0",
        said="2.0",
        json=own[0],
        html=own[1],
        right=own == [404, 404] and result.outcome is Outcome.FAILED and "2.0" in str(result.error),
        note="not understood: the project is reported as lagging, and what the mirror has of it is"
        " kept; here it has nothing",
    )


def other_upstreams(world: World, mirror: str) -> Iterator[Row]:
    """What upstreams of other kinds say, and how the mirror says it."""
    world.configure()
    world.index.upload(wheel("serial", "1.0"))
    world.upstream.personality = BANDERSNATCH
    world.sync("serial")
    seen = Seen.of(world.upstream.url, mirror, "serial")
    said, own = (page["meta"]["_last-serial"] for page in (seen.said, seen.json))
    yield Row(
        pep="691",
        field="`meta._last-serial`, as bandersnatch writes it",
        said=said,
        json=own,
        html=seen.html["serial"],
        right=isinstance(said, str) and own == int(said) and seen.html["serial"] == said,
    )
    world.index.upload(wheel("links", "1.0", requires_python=">=3.9"), yanked="bad <b>")
    world.upstream.personality = replace(HTML_ONLY, api_version="1.4")
    world.sync("links")
    seen = Seen.of(world.upstream.url, mirror, "links")
    (anchor,), (own,), (html,) = seen.said["links"], seen.json["files"], seen.html["links"]
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
    for field, (before, in_json, in_html) in read.items():
        yield Row(
            pep="503",
            field=f"an index of HTML alone: {field}",
            said=before,
            json=in_json,
            html=in_html,
            read="pip",
            right=before == in_json == in_html
            and seen.pip_said[0].anywhere == seen.pip_json[0].anywhere
            and seen.pip_said[0].anywhere == seen.pip_html[0].anywhere,
        )
    yield Row(
        pep="700",
        field="no `versions`, no `size`: an index of HTML alone that claims 1.4",
        said=seen.said["meta"]["pypi:repository-version"],
        json=seen.json["meta"]["api-version"],
        html=seen.html["meta"]["pypi:repository-version"],
        right=seen.json["meta"]["api-version"] == "1.0"
        and "versions" not in seen.json
        and "size" not in own,
        note="from 1.1 on JSON has to have both, so the mirror claims no more than it can say",
    )

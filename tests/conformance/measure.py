"""Does the jobs, reads what came of them, and gives the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clients import served
from tests.conformance import probes
from tests.conformance.fields import FIELDS, PLAIN, WHEEL
from tests.conformance.index import change, fill
from tests.conformance.seen import Seen
from tests.conformance.table import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.table import Row
    from tests.world import World


def measure(world: World) -> tuple[Sequence[Row], str]:
    """Return the rows, and the document that they make."""
    fill(world.upstream)
    world.mirror_run()
    change(world.index)
    world.mirror_run()
    world.mirror_run(["archived", "deprecated"])  # the changelog does not tell of them
    (refusal,) = world.mirror_run(["future"]).results
    with served(world) as mirror:
        projects = dict.fromkeys(field.project for field in FIELDS)
        seen = {project: Seen.of(world.upstream.url, mirror, project) for project in projects}
        path = seen[PLAIN].said["files"][WHEEL]["provenance"].removeprefix(world.upstream.url)
        rows = [
            *probes.root_index(world, mirror),
            *probes.addresses(world, mirror),
            *(field.row(seen[field.project]) for field in FIELDS),
            probes.unknown_version(mirror, refusal),
            *probes.beside_files(world, mirror, seen),
            *probes.with_an_address(world, mirror, path),
            *probes.other_upstreams(world, mirror),
        ]
        names = {world.upstream.url: "https://upstream", mirror: "https://mirror"}
        return rows, render(rows, names)

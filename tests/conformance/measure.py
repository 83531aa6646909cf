"""Run the jobs, and compare the mirror's pages with upstream's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clients import served
from tests.conformance import probes
from tests.conformance.fields import FIELDS, PLAIN, WHEEL
from tests.conformance.index import change, fill
from tests.conformance.page_views import PageViews
from tests.conformance.table import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.table import Row
    from tests.world import World


def measure(world: World) -> tuple[Sequence[Row], str]:
    """Return the rows and the document."""
    fill(world.upstream)
    world.mirror_run()
    change(world.index)
    world.mirror_run()
    world.mirror_run(["archived", "deprecated"])  # the changelog has no event
    (refusal,) = world.mirror_run(["future"]).results
    with served(world) as mirror:
        projects = dict.fromkeys(field.project for field in FIELDS)
        views = {project: PageViews.of(world.upstream.url, mirror, project) for project in projects}
        path = views[PLAIN].upstream["files"][WHEEL]["provenance"].removeprefix(world.upstream.url)
        rows = [
            *probes.root_index(world, mirror),
            *probes.addresses(world, mirror),
            *(field.row(views[field.project]) for field in FIELDS),
            probes.unknown_version(mirror, refusal),
            *probes.files(world, mirror, views),
            *probes.with_root_uri(world, mirror, path),
            *probes.other_upstreams(world, mirror),
        ]
        names = {world.upstream.url: "https://upstream", mirror: "https://mirror"}
        return rows, render(rows, names)

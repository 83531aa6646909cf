"""The mirror as clients see it: through the template's edge function, parsed by pip.

Works with any recent pip: it uses only internals that have not changed for years.
"""

from __future__ import annotations

import urllib.request
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import unquote

from pip._internal.index.collector import IndexContent, LinkCollector, parse_links
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.network.session import PipSession

from localcloud.distribution import DistributionServer
from localcloud.environment import CHECKOUT
from localcloud.metrics import Metrics
from localcloud.stack_reader import read_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pip._internal.models.link import Link

    from tests.world import World

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"


@dataclass(frozen=True, slots=True)
class Response:
    """A response; `url` is the URL after redirects."""

    status: int
    content_type: str
    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file as pip sees it."""

    filename: str
    url: str  # absolute
    sha256: str | None
    requires_python: str | None
    yanked: str | None  # the reason; "": yanked without one
    metadata: str | None  # the sha256 of its core metadata; "": unknown; None: it has none

    @classmethod
    def of(cls, link: Link) -> Candidate:
        metadata = link.metadata_file_data
        return cls(
            filename=link.filename,
            url=link.url_without_fragment,
            sha256=dict(link._hashes).get("sha256"),
            requires_python=link.requires_python,
            yanked=link.yanked_reason,
            metadata=None if metadata is None else (metadata.hashes or {}).get("sha256", ""),
        )

    @property
    def without_host(self) -> Candidate:
        """The same with a URL that does not depend on the server."""
        return replace(self, url="/packages/" + unquote(self.url.rpartition("/packages/")[2]))


@contextmanager
def served(world: World) -> Iterator[str]:
    """Serve the world's mirror as the distribution does; yield its URL."""
    template = CHECKOUT / "template.yaml"
    stack = read_stack(template, endpoint=world.s3.meta.endpoint_url, parameters={})
    distribution = replace(stack.distribution, bucket=world.bucket)
    reader = DistributionServer(distribution, world.s3, Metrics())
    try:
        yield reader.url
    finally:
        reader.stop()


def get(url: str, accept: str = "*/*") -> Response:
    """Send a request and follow redirects."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310
    try:
        response = urllib.request.urlopen(request)  # noqa: S310
    except HTTPError as error:
        response = error
    with response:
        kind = response.headers.get("Content-Type", "")
        return Response(response.status, kind, response.url, response.read())


def read_by_pip(response: Response) -> tuple[Candidate, ...]:
    """Return the files that pip finds on a project page."""
    page = IndexContent(
        response.body, response.content_type, None, response.url, cache_link_parsing=False
    )
    return tuple(Candidate.of(link) for link in parse_links(page))


def found_by_pip(index: str, project: str) -> Mapping[str, Candidate]:
    """Return a project's files by filename, as pip finds them in `index`."""
    with warnings.catch_warnings(), ExitStack() as closing:
        warnings.simplefilter("ignore")  # pip imports deprecated modules
        session = closing.enter_context(PipSession())
        finder = PackageFinder.create(
            link_collector=LinkCollector(
                session=session,
                search_scope=SearchScope.create(
                    find_links=[], index_urls=[f"{index}/simple/"], no_index=False
                ),
            ),
            selection_prefs=SelectionPreferences(allow_yanked=True, ignore_requires_python=True),
        )
        found = [Candidate.of(each.link) for each in finder.find_all_candidates(project)]
    return {candidate.filename: candidate for candidate in found}

"""Decisions about snapshots, without upstream and without a storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import structs
from packaging.utils import NormalizedName

from frumious.config.choices import Removals
from frumious.model.jobs import AllowedRemoval
from frumious.model.pages import ListedProject, RootIndex
from frumious.model.plans import Plan, Reason, RemovalLimit
from frumious.model.runs import Cursor, Lagging, OpenRun, Selected
from frumious.model.types import RunId
from frumious.planning.config_changes import ConfigChanges, config_changes
from frumious.planning.plan import plan_snapshot
from frumious.planning.snapshot import Snapshot
from frumious.planning.sweep import Check, Turn, next_turn
from frumious.selection.names import AllowedProjects
from frumious.selection.selection import Selection
from frumious.upstream.changelog import Changes
from frumious.upstream.upstream import PageCheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOW: Final = 1_000_000.0
DAY: Final = 24 * 3600
EVERYTHING: Final = Selection()
PYPI: Final = Cursor(serial=5, asked=1.0, reconciled=NOW, swept_at=NOW, changelog=True)
RUN: Final = RunId("20260101T000000-1")


def only(*names: str) -> Selection:
    """Return a selection of some projects."""
    return Selection(names=(AllowedProjects(frozenset(map(NormalizedName, names))),))


def own(**serials: int | None) -> Iterable[tuple[NormalizedName, ListedProject]]:
    """Return the mirror's root index."""
    return [(NormalizedName(name), ListedProject(name, serials[name], 1, 1)) for name in serials]


def upstream(serial: int | None = 9, **serials: int | None) -> RootIndex:
    return RootIndex(
        projects={NormalizedName(name): serials[name] for name in serials},
        serial=serial,
        etag='"t"',
    )


def changelog(serial: int, removals: Mapping[str, AllowedRemoval], **serials: int) -> Changes:
    return Changes(
        projects={NormalizedName(name): serials[name] for name in serials},
        allowed_removals={NormalizedName(name): removals[name] for name in removals},
        serial=serial,
    )


def lagging(name: str, serial: int = 3, **fields: Any) -> dict[NormalizedName, Lagging]:
    entry = {"reason": "failed", "attempts": 1, "due": NOW + DAY / 24, "run": RUN, **fields}
    return {NormalizedName(name): Lagging(serial=serial, **entry)}


def decide(
    *,
    selection: Selection = EVERYTHING,
    limit: Removals = Removals(share=1.0),  # noqa: B008 - a frozen value
    cursor: Cursor = PYPI,
    **fields: Any,
) -> Plan:
    return plan_snapshot(Snapshot(now=NOW, cursor=cursor, **fields), selection, limit)


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        ({}, {"newer": Reason.DIFFERS, "new": Reason.NEW, "gone": Reason.UNANNOUNCED}),
        ({"lagging": lagging("newer")}, {"new": Reason.NEW, "gone": Reason.UNANNOUNCED}),
        ({"lagging": lagging("new")}, {"newer": Reason.DIFFERS, "gone": Reason.UNANNOUNCED}),
        (
            {"lagging": lagging("gone", named=True)},
            {"newer": Reason.DIFFERS, "new": Reason.NEW},
        ),
        (
            {"lagging": lagging("never-stored")},
            {
                "newer": Reason.DIFFERS,
                "new": Reason.NEW,
                "gone": Reason.UNANNOUNCED,
                "never-stored": Reason.UNANNOUNCED,
            },
        ),
        ({"in_progress": {"newer": 7, "new": 0, "gone": 2}}, {"new": Reason.NEW}),
        ({"in_progress": {"newer": 6, "new": 8, "gone": 2}}, {"newer": Reason.DIFFERS}),
        ({"selection": only("newer")}, {"newer": Reason.DIFFERS}),
    ],
    ids=["all", "lags", "lags-new", "named", "gone-lags", "brought", "outdated", "filtered"],
)
def test_the_comparison_skips_projects_that_are_already_planned(
    known: dict[str, Any], reasons: dict[str, Reason]
) -> None:
    plan = decide(
        upstream_index=upstream(newer=7, same=2, new=8),
        own_index=own(newer=6, same=2, gone=2),
        **known,
    )

    assert plan.reasons == reasons
    removed = [name for name, reason in reasons.items() if reason.removes]
    assert plan.allowed_removals == dict.fromkeys(removed, AllowedRemoval.PROJECT)


@pytest.mark.parametrize(("serial", "required"), [(9, 9), (5, 0), (None, 0)])
def test_the_page_of_a_project_that_left_a_newer_root_index_has_to_be_as_new(
    serial: int | None, required: int
) -> None:
    plan = decide(upstream_index=upstream(serial, other=2), own_index=own(gone=5, other=2))

    assert plan.jobs == {"gone": required}
    assert plan.delisted == ({"gone"} if required else set())


@pytest.mark.parametrize(
    ("event", "required", "delisted"),
    [(None, 9, {"gone"}), (7, 9, {"gone"}), (9, 9, {"gone"}), (12, 12, set())],
)
def test_a_project_with_an_event_since_a_root_index_that_lacks_it_has_to_reach_the_event(
    event: int | None, required: int, delisted: set[str]
) -> None:
    known = {} if event is None else lagging("gone", event)
    plan = decide(
        upstream_index=upstream(9, other=2), own_index=own(gone=5, other=2), lagging=known
    )

    assert plan.jobs == {"gone": required}
    assert plan.delisted == delisted


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_lagging_project_need_not_reach_an_event_that_the_root_index_does_not_know(
    *, named: bool, is_stored: bool
) -> None:
    plan = decide(
        upstream_index=upstream(9, a=5),
        own_index=own(a=5) if is_stored else (),
        lagging=lagging("a", 9, named=named),
    )

    assert plan.reasons == {"a": Reason.REWOUND}
    assert plan.jobs == {"a": 5}
    assert decide(upstream_index=upstream(8, a=5), lagging=lagging("a", 9, named=named)).jobs == {}


def test_a_retry_of_a_project_that_a_root_index_lacked_remembers_it() -> None:
    plan = decide(lagging=lagging("gone", 9, delisted=True, due=NOW))

    assert plan.jobs == {"gone": 9}
    assert plan.delisted == {"gone"}


@pytest.mark.parametrize(
    ("config", "selection", "reasons"),
    [
        (ConfigChanges(), only("a"), {}),
        (ConfigChanges(pages=True), only("a"), {"a": Reason.RESELECTED}),
        (ConfigChanges(pages=True, forced=True), only("a"), {"a": Reason.FORCED}),
        (
            ConfigChanges(releases=frozenset({NormalizedName("b")})),
            EVERYTHING,
            {"b": Reason.RESELECTED},
        ),
        (ConfigChanges(projects=True), only("a", "c"), {"b": Reason.UNWANTED, "c": Reason.NEW}),
    ],
    ids=["unchanged", "pages", "forced", "releases", "projects"],
)
def test_a_configuration_change_plans_only_the_projects_that_it_affects(
    config: ConfigChanges, selection: Selection, reasons: dict[str, Reason]
) -> None:
    plan = decide(config=config, selection=selection, own_index=own(a=1, b=1))

    assert plan.reasons == reasons


def test_a_configuration_change_reaches_projects_of_open_runs_that_are_not_listed_yet() -> None:
    config = ConfigChanges(projects=True, releases=frozenset({NormalizedName("a")}))

    plan = decide(
        config=config,
        selection=only("a", "b"),
        reselected=frozenset(map(NormalizedName, ("a", "b", "c"))),
        own_index=own(b=1),
    )

    assert plan.reasons == {"a": Reason.RESELECTED, "c": Reason.UNWANTED}


def test_a_lagging_project_named_by_a_user_is_kept_despite_the_filters() -> None:
    known = lagging("named", named=True) | lagging("filtered")

    plan = decide(config=ConfigChanges(projects=True), selection=only("a"), lagging=known)

    assert plan.reasons == {"filtered": Reason.UNWANTED, "a": Reason.NEW}


def test_the_first_reason_wins_among_proposals_also_where_a_cache_lacks_the_project() -> None:
    plan = decide(
        changes=changelog(9, {"shrunk": AllowedRemoval.FILES}, changed=8, shrunk=9, gone=7),
        upstream_index=upstream(changed=9, shrunk=9),
        own_index=own(changed=1, shrunk=1, gone=1),
    )

    assert plan.jobs == {"changed": 9, "shrunk": 9, "gone": 7}
    assert plan.reasons == {
        "changed": Reason.CHANGED,
        "shrunk": Reason.CHANGED,
        "gone": Reason.CHANGED,
    }
    assert plan.allowed_removals == {
        "shrunk": AllowedRemoval.FILES,
    }


@pytest.mark.parametrize(
    ("serial", "allowed"), [(3, AllowedRemoval.PROJECT), (4, AllowedRemoval.FILES)]
)
def test_a_change_also_carries_what_a_lagging_project_lacks(
    serial: int, allowed: AllowedRemoval
) -> None:
    plan = decide(
        changes=changelog(9, {}, one=serial),
        lagging=lagging("one", serial=3, allowed_removal=AllowedRemoval.PROJECT),
    )

    assert plan.reasons == {"one": Reason.CHANGED}
    assert plan.retries == frozenset()
    assert plan.recovering == {"one"}
    assert plan.allowed_removals == {"one": allowed}


def test_a_lagging_project_is_retried_after_its_pause_by_one_run() -> None:
    known = lagging("due", due=NOW) | lagging("paused") | lagging("running", due=NOW)
    run = OpenRun(run=RUN, since=None, retries=frozenset({NormalizedName("running")}))

    plan = decide(lagging=known, cursor=Cursor(serial=5, runs=(run,)))

    assert plan.reasons == {"due": Reason.LAGGING}
    assert plan.retries == {"due"}


def test_so_many_projects_that_lag_are_not_all_retried_at_once() -> None:
    known = {project: entry for n in range(1500) for project, entry in lagging(f"p{n}").items()}

    plan = decide(lagging={name: structs.replace(each, due=NOW) for name, each in known.items()})

    assert len(plan.jobs) == len(plan.retries) == 1000


def test_a_project_that_lags_since_a_reset_may_go_back_when_it_is_retried() -> None:
    known = lagging("one", due=NOW, rewinding=True) | lagging("two", due=NOW)

    plan = decide(lagging=known, serial=9)

    assert plan.jobs == {"one": 3, "two": 3}
    assert plan.rewinding == {"one"}


@pytest.mark.parametrize(
    ("limit", "stopped"),
    [
        (Removals(share=0.0, number=0), RemovalLimit(removals=3, projects=4, allowed=0)),
        (Removals(share=0.25, number=1), RemovalLimit(removals=3, projects=4, allowed=1)),
        (Removals(share=0.25, number=2), None),
        (Removals(share=0.25, number=100), None),
        (Removals(share=0.5, number=0), None),
    ],
)
def test_a_plan_that_removes_too_much_of_the_mirror_is_stopped(
    limit: Removals, stopped: RemovalLimit | None
) -> None:
    announced = ("a", "b", "never-stored")
    plan = decide(
        changes=changelog(
            9, dict.fromkeys(announced, AllowedRemoval.PROJECT), **dict.fromkeys(announced, 9)
        ),
        upstream_index=upstream(c=1) if limit.share else upstream(d=1),
        own_index=own(a=1, b=1, c=1, d=1),
        limit=limit,
    )

    assert plan.removals.keys() == {*announced, "d" if limit.share else "c"}
    assert plan.starts is (stopped is None)
    assert plan.stopped == stopped


def test_at_most_half_of_a_small_mirror_goes_by_upstream_s_own_events() -> None:
    gone = dict.fromkeys(("a", "b", "c"), AllowedRemoval.PROJECT)
    changes = changelog(9, gone, a=9, b=9, c=9)

    stopped = decide(changes=changes, own_index=own(a=1, b=1, c=1, d=1), limit=Removals())
    one = decide(changes=changes, own_index=own(a=1), limit=Removals())

    assert stopped.stopped == RemovalLimit(removals=3, projects=4, allowed=2)
    assert one.stopped is None


def test_what_no_event_announces_waits_while_the_rest_starts() -> None:
    before = structs.replace(PYPI, reconciled=NOW - DAY)
    plan = decide(
        cursor=before,
        changes=changelog(9, {"a": AllowedRemoval.PROJECT}, a=9, d=8),
        upstream_index=upstream(d=8),
        own_index=own(a=1, b=1, c=1, d=1),
        limit=Removals(),
    )

    assert plan.reasons == {"a": Reason.REMOVED, "d": Reason.CHANGED}
    assert plan.withheld == {"b": Reason.UNANNOUNCED, "c": Reason.UNANNOUNCED}
    assert plan.allowed_removals == {"a": AllowedRemoval.PROJECT}
    assert plan.starts
    assert plan.stopped is not None
    assert plan.stopped.message == (
        "of the mirror's 4 projects, upstream no longer has 2, without an event that says so"
        " (max-removals allows 1): these stay until somebody confirms 2 removals"
    )
    assert plan.cursor is not None
    assert (plan.cursor.serial, plan.cursor.reconciled) == (9, NOW - DAY), "it is compared again"


def test_a_removal_because_of_the_configuration_waits_until_it_is_confirmed() -> None:
    selected = Selected(projects="new", pages="q")
    config = ConfigChanges(projects=True, selected=selected, previous_projects="old")

    def plan(confirmed: int) -> Plan:
        snapshot = Snapshot(now=NOW, cursor=PYPI, config=config, own_index=own(a=1, b=1))
        return plan_snapshot(snapshot, only("a", "c"), Removals(), confirmed)

    waiting, confirmed = plan(0), plan(1)

    assert waiting.reasons == {"c": Reason.NEW}
    assert waiting.withheld == {"b": Reason.UNWANTED}
    assert waiting.selected == structs.replace(selected, projects="old"), "compared again"
    assert confirmed.reasons == {"b": Reason.UNWANTED, "c": Reason.NEW}
    assert (confirmed.stopped, confirmed.selected) == (None, selected)


def test_an_empty_root_index_is_an_outage() -> None:
    alone = decide(upstream_index=upstream(), own_index=own(a=1), cursor=Cursor())
    plan = decide(
        changes=changelog(9, {"b": AllowedRemoval.PROJECT}, a=9, b=9),
        upstream_index=upstream(),
        own_index=own(a=1, b=1, c=1),
    )

    assert not alone.reasons
    assert alone.withheld == {"a": Reason.UNANNOUNCED}
    assert alone.stopped is not None
    assert "upstream lacks 1, as in an outage: its root index is empty" in alone.stopped.message
    assert plan.reasons == {"a": Reason.CHANGED, "b": Reason.REMOVED}
    assert plan.withheld == {"c": Reason.UNANNOUNCED}


@pytest.mark.parametrize(
    ("names", "listed", "reasons"),
    [
        (None, own(one=1), {}),
        (None, own(), {"one": Reason.UNANNOUNCED}),
        ([NormalizedName("one")], own(one=1), {"one": Reason.UNANNOUNCED}),
    ],
    ids=["listed", "unlisted", "polled"],
)
def test_a_missing_page_removes_only_polled_projects(
    names: list[NormalizedName] | None, listed: Any, reasons: dict[str, Reason]
) -> None:
    gone = Check(stored=True, answer=PageCheck(None, changed=True, missing=True))
    project = NormalizedName("one")

    plan = decide(
        names=names,
        own_index=listed,
        turn=Turn(size=9, until=NOW, projects=[project], checks={project: gone}),
    )

    assert plan.reasons == reasons
    assert plan.cursor is not None
    assert (plan.cursor.swept, plan.cursor.swept_at) == ("", NOW)


@pytest.mark.parametrize(
    ("answers", "cursor"),
    [
        (
            {"changes": changelog(9, {})},
            {"serial": 9, "upstream": 9, "changelog": True, "reconciled": NOW - DAY},
        ),
        (
            {"changes": changelog(9, {}), "upstream_index": upstream(a=8)},
            {"serial": 9, "upstream": 9, "reconciled": NOW, "root_etag": ""},
        ),
        (
            {"upstream_index": upstream(a=8)},
            {"serial": 9, "upstream": 9, "root_etag": '"t"', "no_change_feed": False},
        ),
        (
            {"upstream_index": upstream(a=8), "in_progress": {"a": 8, "removed-since": 7}},
            {"serial": 5, "upstream": 9, "root_etag": ""},
        ),
        (
            {"upstream_index": upstream(a=8), "in_progress": {"requested-and-removed": 0}},
            {"serial": 5, "upstream": 9, "root_etag": ""},
        ),
        (
            {"upstream_index": upstream(None, a=None), "in_progress": {"a": 3}},
            {"serial": 5, "upstream": None, "root_etag": "", "no_change_feed": True},
        ),
        ({"names": []}, {"serial": 5, "no_change_feed": True, "reconciled": NOW}),
        ({}, {"serial": 5, "asked": NOW, "reconciled": NOW - DAY}),
    ],
    ids=[
        "changelog",
        "compared",
        "index",
        "removed",
        "requested",
        "no-serials",
        "names",
        "unchanged",
    ],
)
def test_the_cursor_advances_to_upstream_s_serial(
    answers: dict[str, Any], cursor: dict[str, Any]
) -> None:
    before = Cursor(serial=5, asked=1.0, reconciled=NOW - DAY)

    plan = decide(cursor=before, **answers)

    moved = {name: getattr(plan.cursor, name) for name in cursor}
    assert moved == cursor


@pytest.mark.parametrize(
    ("days", "projects", "turn"),
    [
        (0.5, 30, Turn(until=NOW - DAY / 2)),
        (1.25, 30, Turn(size=1, until=NOW - DAY / 4)),
        (1.25, 3_000_000, Turn(size=500, until=NOW)),
        (1.25, 0, Turn(until=NOW - 1.25 * DAY)),
    ],
    ids=["less-than-one", "a-fraction-is-left", "too-many", "none"],
)
def test_the_sweep_covers_all_projects_in_its_days(days: float, projects: int, turn: Turn) -> None:
    cursor = Cursor(swept_at=NOW - days * DAY)

    assert next_turn(cursor, NOW, 30, projects) == turn


def test_fingerprints_distinguish_configuration_changes() -> None:
    one, two = NormalizedName("one"), NormalizedName("two")
    stored = Selected(projects="p", pages="q", releases={one: "1", two: "1"}, layouts=("html",))
    current = Selected(projects="p", pages="r", releases={two: "1"}, layouts=("json",))

    changes = config_changes(stored, current, force=False)

    assert (changes.projects, changes.pages) == (False, True)
    assert changes.releases == {one}
    assert changes.selected is not None
    assert changes.selected.layouts == ("html", "json")
    assert config_changes(None, current, force=False) == ConfigChanges(selected=current)
    unchanged = ConfigChanges(fingerprint=current.fingerprint, previous_projects="p")
    assert config_changes(current, current, force=False) == unchanged

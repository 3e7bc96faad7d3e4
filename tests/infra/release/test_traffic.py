"""Which revisions get what part of the traffic on the way of a release."""

from datetime import UTC, datetime

import pytest
from google.cloud import run_v2

from infra.release import live as of_live
from infra.release import rollout
from infra.release.live import LATEST, REVISION
from infra.release.memory import Memory, Split

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVICE = "projects/p/locations/r/services/s"


def live(
    *statuses: run_v2.TrafficTargetStatus, ready: str = "s-2", **fields: object
) -> run_v2.Service:
    """A live service with the traffic."""
    return run_v2.Service(
        name=SERVICE,
        latest_ready_revision=f"{SERVICE}/revisions/{ready}",
        traffic_statuses=statuses,
        **fields,
    )


def status(percent: int, revision: str = "", tag: str = "") -> run_v2.TrafficTargetStatus:
    """A part of the traffic; without a revision it is the latest one's."""
    kind = REVISION if revision else LATEST
    return run_v2.TrafficTargetStatus(type_=kind, revision=revision, percent=percent, tag=tag)


@pytest.mark.parametrize(
    ("statuses", "split"),
    [
        ((status(100),), (("s-2", 100),)),
        ((status(100, "s-1"),), (("s-1", 100),)),
        ((status(0, "s-2", "candidate"), status(100, "s-1")), (("s-1", 100),)),
        ((status(30, "s-1"), status(70)), (("s-1", 30), ("s-2", 70))),
        ((status(30, "s-2"), status(70)), (("s-2", 100),)),
        ((), ()),
    ],
)
def test_what_serves_is_known_by_revision(
    statuses: tuple[run_v2.TrafficTargetStatus, ...], split: Split
) -> None:
    assert of_live.split_of(live(*statuses)) == split


@pytest.mark.parametrize(
    ("split", "total", "scaled"),
    [
        ((("a", 100),), 90, (("a", 90),)),
        ((("a", 100),), 0, ()),
        ((("a", 50), ("b", 50)), 75, (("a", 38), ("b", 37))),
        ((("a", 1), ("b", 99)), 50, (("b", 50),)),
        ((), 50, ()),
    ],
)
def test_the_rest_is_shared_as_before(split: Split, total: int, scaled: Split) -> None:
    found = of_live.scaled(split, total)
    assert sum(percent for _, percent in found) == (total if split else 0)
    assert found == scaled


def test_a_candidate_has_a_tag_and_no_traffic() -> None:
    service = live(
        status(100, "s-1"),
        traffic=[
            run_v2.TrafficTarget(type_=REVISION, revision="s-1", percent=100),
            run_v2.TrafficTarget(type_=REVISION, revision="s-0", tag="theirs"),
            run_v2.TrafficTarget(type_=REVISION, revision="s-0", tag="candidate"),
        ],
    )
    found = [
        (each.revision, each.percent, each.tag)
        for each in of_live.targets(service, (("s-1", 100),), candidate="s-2")
    ]
    assert found == [("s-1", 100, ""), ("s-0", 0, "theirs"), ("s-2", 0, "candidate")]


@pytest.mark.parametrize(
    ("fields", "converged"),
    [
        ({}, True),
        ({"reconciling": True}, False),
        ({"observed_generation": 6}, False),
        ({"terminal_condition": {"state": run_v2.Condition.State.CONDITION_FAILED}}, False),
        ({"terminal_condition": {"state": run_v2.Condition.State.CONDITION_RECONCILING}}, False),
    ],
)
def test_converged_is_all_of_it(fields: dict[str, object], converged: bool) -> None:
    done: dict[str, object] = {
        "generation": 7,
        "observed_generation": 7,
        "terminal_condition": {"state": run_v2.Condition.State.CONDITION_SUCCEEDED},
    }
    assert of_live.is_converged(run_v2.Service(**(done | fields))) is converged


def test_field_masks_are_in_snake_case() -> None:
    assert of_live.snake("launchStage") == "launch_stage"


def test_the_first_release_has_nobody_to_share_with() -> None:
    first = rollout.Captured((("s-0", 100),), Memory(), True, "", NOW)
    later = rollout.Captured((("s-1", 100),), Memory(), False, "", NOW)
    assert rollout.steps(first, [10, 50]) == [100]
    assert rollout.steps(later, [10, 50]) == [10, 50, 100]

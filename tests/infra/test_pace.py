"""How fast a revision gets the traffic: the environment's word, and that of the options."""

import pytest

from infra.environment_release import Release
from infra.project import ProjectError
from infra.tasks.stages.pace import Pace


def test_the_options_go_before_the_environment() -> None:
    release = Release(canary=[10, 50], bake=30, checks={"/orders": 200})
    assert Pace.of(release) == Pace([10, 50], 30, {"/orders": 200})
    assert Pace.of(release, "", "0") == Pace([], 0, {"/orders": 200})


@pytest.mark.parametrize(
    ("canary", "steps"),
    [("10,50,100", [10, 50]), ("10%, 50%", [10, 50]), ("100", []), ("1,99", [1, 99])],
)
def test_the_last_step_is_always_all(canary: str, steps: list[int]) -> None:
    assert Pace.of(Release(), canary).canary == steps


@pytest.mark.parametrize(
    ("bake", "seconds"), [("60s", 60), ("2m", 120), ("1m30s", 90), ("90", 90), ("0s", 0)]
)
def test_a_time_as_people_write_it(bake: str, seconds: int) -> None:
    assert Pace.of(Release(), None, bake).bake == seconds


@pytest.mark.parametrize("canary", ["0", "101", "50,10", "10,10", "ten", "10;50", "-1"])
def test_steps_that_do_not_climb_are_refused(canary: str) -> None:
    with pytest.raises(ProjectError, match=r"--canary must be percents that climb"):
        Pace.of(Release(), canary)


@pytest.mark.parametrize("bake", ["", "soon", "2h", "-1", "61m", "s", "1.5m"])
def test_times_that_are_none_are_refused(bake: str) -> None:
    with pytest.raises(ProjectError, match=r"--bake must be a time"):
        Pace.of(Release(), None, bake)

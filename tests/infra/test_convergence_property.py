"""Whatever happens to a run, its reruns end in the world of a run to which nothing happened.

Each seed is a stack, a story, faults, and the deaths of processes (disturbances.py). The same seed
gives the same of these; which call is the third of its kind is up to the threads.

    uv run pytest tests/infra/test_convergence_property.py --seeds 500
    uv run pytest tests/infra/test_convergence_property.py --seed 137
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from infra.events import Event, Finished, Started, Waited
from tests.emulator.emulators import Emulator
from tests.infra.disturbances import Ordeal, Run, Shape, Story, ordeal
from tests.infra.seeds import PROPERTY, Tally, chosen
from tests.infra.services import write
from tests.infra.simulated import SimulatedClock, Simulation
from tests.infra.trials import Trial, grown, live
from tests.infra.worlds import Json, hollow_cloud

# Threads of the storage client die with their process.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dataclass
class Place:
    """An emulator, and the undisturbed worlds that were made there."""

    emulator: Emulator
    simulation: Simulation
    folder: Path
    undisturbed: dict[tuple[Shape, bool], dict[str, Json]] = field(default_factory=dict)

    def trial(self, project: str) -> Trial:
        """A project of its own."""
        return Trial(self.emulator, self.simulation, self.folder, project)

    def world(self, given: Ordeal) -> dict[str, Json]:
        """What an ordeal should end in."""
        shape, changes = given.shape, given.story is Story.CHANGE
        known = self.undisturbed.get((shape, changes))
        if known is None:
            trial = self.trial(f"calm-{len(self.undisturbed):04}")
            assert trial.provision(shape)(Run()), trial.events
            if changes:
                assert trial.provision(grown(shape))(Run()), trial.events
            known = self.undisturbed[shape, changes] = trial.world()
        return known


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An emulator on a scratch folder."""
    folder = write(tmp_path_factory.mktemp("service"))
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as emulator:
        simulation = Simulation(SimulatedClock(emulator.host))
        with simulation.running():
            yield Place(emulator, simulation, folder)


def in_brief(event: Event | str) -> str:
    """What happened, in a line or so."""
    if isinstance(event, str):
        return event
    if not isinstance(event, Started | Waited | Finished):
        return str(event)
    what = f"{event.kind} {event.name}"
    if isinstance(event, Started):
        return f"  {what}: {event.doing}"
    if isinstance(event, Waited):
        return f"  {what}: waits for {event.what}, {event.seconds:.0f} s"
    fields = ", ".join(each.path for each in event.fields)
    return f"  {what}: {event.status} {event.text} ({event.seconds:.0f} s) {fields:.80}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", chosen(metafunc.config))


def test_a_seed_always_stands_for_the_same() -> None:
    assert ordeal(7) == ordeal(7) != ordeal(8)


def test_runs_that_were_not_disturbed_are_no_success() -> None:
    calm = Tally(
        stories=Counter(first=100), rules=Counter(race=2), kills=Counter(before=1, after=1)
    )
    assert calm.blindness == "most faults struck nothing"
    assert replace(calm, used=Counter(race=1)).blindness == ""
    assert replace(calm, used=Counter(race=1), kills=Counter(after=1)).blindness
    seldom = replace(calm, rules=Counter(race=1, late=1), used=Counter(race=1))
    assert seldom.blindness == "these struck nothing: late"


def test_disturbed_runs_end_where_an_undisturbed_one_does(
    place: Place, seed: int, record_property: Callable[[str, object], None]
) -> None:
    given = ordeal(seed)
    undisturbed = place.world(given)
    trial = place.trial(f"seed-{seed:06}")
    shape = grown(given.shape) if given.story is Story.CHANGE else given.shape
    try:
        reruns = live(trial, given)
        trial.check(undisturbed, trial.provision(shape))
    except AssertionError as failure:
        told = "\n".join(map(in_brief, trial.events))
        again = f"uv run pytest tests/infra/test_convergence_property.py --seed {seed}"
        pytest.fail(f"{failure}\n\n{given.told}\n\n{told}\n\nagain: {again}", pytrace=False)
    finally:
        trial.calm()
    trial.tally.stories[given.story] += 1
    trial.tally.reruns[str(reruns)] += 1
    record_property(PROPERTY, trial.tally.to_json())

"""Whatever dies under load, what was acknowledged is there afterwards, and nobody had to help.

Each seed is a round: clients write and read, something is killed, cut or filled, and comes back
(disturbances.py). The same seed gives the same of these; which request it meets is up to the
machine.

    uv run pytest tests/service/test_kills.py --rounds 200
    uv run pytest tests/service/test_kills.py --seed 137
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Bake
from tests.service.database import Database, small_disk
from tests.service.disturbances import Round, round_of
from tests.service.rounds import PROPERTY, Tally, chosen
from tests.service.stage import NoSmallDiskError, performing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

type Live = Callable[[Round], tuple[Tally, list[str]]]


@pytest.fixture(scope="module")
def live(baked: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Lives a round, with a service that stays for the next ones."""
    folder = tmp_path_factory.mktemp("kills")
    with small_disk() as disk, asyncio.Runner() as runner:
        database = Database(disk or folder, small=disk is not None)
        performance = performing(baked(), database, folder / "service.log")
        try:
            theatre = runner.run(performance.__aenter__())
            try:
                yield lambda given: runner.run(theatre.live(given))
            finally:
                runner.run(performance.__aexit__(None, None, None))
        finally:
            database.server.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", chosen(metafunc.config))


def test_a_seed_always_stands_for_the_same() -> None:
    assert round_of(7) == round_of(7) != round_of(8)


def test_rounds_that_disturbed_nobody_are_no_success() -> None:
    rounds = Counter({"service killed": 90, "disk full": 10})
    assert not Tally(rounds=rounds, troubled=rounds).blindness
    calm = Tally(rounds=rounds, troubled=Counter({"service killed": 49}))
    assert calm.blindness == "most rounds disturbed nobody"
    calm.troubled["service killed"] = 50
    assert calm.blindness == "these disturbed nobody: disk full"


def test_what_was_acknowledged_is_there_and_nobody_had_to_help(
    live: Live, seed: int, record_property: Callable[[str, object], None]
) -> None:
    given = round_of(seed)
    try:
        tally, faults = live(given)
    except NoSmallDiskError:
        pytest.skip("this process may not mount a small disk")
    if faults:
        again = f"uv run pytest tests/service/test_kills.py --seed {seed}"
        pytest.fail("\n".join([str(given), *faults, f"again: {again}"]), pytrace=False)
    record_property(PROPERTY, tally.to_json())

"""One seed's ordeal, lived through: its runs, its faults, and what has to be true afterwards."""

import difflib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import requests

from infra import lease
from infra.apply import refuse
from infra.cloud import Cloud
from infra.converge import Lock, converge, remove
from infra.emulator.faults_races import LABEL
from infra.environment import Environment
from infra.events import Event, Status
from infra.outcome import Outcome
from infra.plan import Session, plan, to_remove
from infra.resources.base import Resource
from infra.resources.run import ATTEMPT
from infra.retry import CloudError
from infra.stack import stack
from tests.emulator.emulators import Emulator
from tests.infra.disturbances import STRANGER, Kill, Ordeal, Rule, Run, Shape, Story
from tests.infra.neighbours import Neighbours
from tests.infra.seeds import Tally
from tests.infra.simulated import Process, Simulation
from tests.infra.worlds import REGION, Died, Json, normalised, snapshot

RERUNS = 3
NEW = 2
"""Runs that meet something new; those after them meet nothing any more."""
TRIES = 20
LONG = 1800
"""Seconds that a lease is good for where two run: it is renewed in this machine's time alone."""
KEPT = ("apis", "connections", "repositories of github")
"""What others may use too, and is not removed."""

type Do = Callable[[Run], bool]


class Fault(TypedDict):
    """A rule in force, as the emulator tells it."""

    id: str
    rule: Rule
    used: int


@dataclass
class Trial:
    """A project that an ordeal is lived through in."""

    emulator: Emulator
    simulation: Simulation
    folder: Path
    project: str
    events: list[Event | str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    intruded: list[str] = field(default_factory=list)
    """The paths of what a race left its mark on."""
    removing: bool = False
    ttl: float = lease.TTL_SECONDS

    def __post_init__(self) -> None:
        self.neighbours = Neighbours(self.emulator.host, self.project)
        self.neighbours.move_in()
        self.theirs = self.neighbours.things()
        self.bare = self.world()
        self.emulator.forget()

    def world(self) -> dict[str, Json]:
        """All there is, without the marks of races and of attempts, which decide an order too."""
        found = snapshot(self.emulator.host, self.project)
        cleared = {title: normalised(cleared_of_marks(each)) for title, each in found.items()}
        return {title: each for title, each in cleared.items() if each}

    def cloud(self, shape: Shape) -> Cloud:
        """A stack's cloud."""
        given = {"name": "stg", "project": self.project, "region": REGION}
        environment = Environment.model_validate({**given, **shape.fields})
        return Cloud(environment, self.emulator.host)

    def provision(self, shape: Shape) -> Do:
        """Has a run provision."""

        def converging(resources: list[Resource], session: Session) -> Outcome:
            return converge(resources, session, Lock("invoke provision", 2 * self.ttl, self.ttl))

        return self.once(self.cloud(shape), converging)

    def destroy(self, shape: Shape) -> Do:
        """Has a run remove everything."""

        def removing(resources: list[Resource], session: Session) -> Outcome:
            planned = plan(resources, session, to_remove)
            if planned.refused or planned.failures:
                return refuse(planned, session)
            return remove(planned, session, Lock("invoke destroy", 2 * self.ttl, self.ttl))

        return self.once(self.cloud(shape), removing)

    def once(
        self, cloud: Cloud, work: Callable[[list[Resource], Session], Outcome]
    ) -> Callable[[Run], bool]:
        """What does some work in a process that dies where its run says; False if that failed."""

        def do(run: Run) -> bool:
            process = Process(cloud, run.kill)
            session = Session(cloud, self.events.append, clock=self.simulation.clock)
            with self.simulation.living(process):
                try:
                    outcome = work(stack(cloud.environment, self.folder), session)
                except Died:
                    self.events.append(f"died at call {process.calls}")
                    committed = run.kill is not None and run.kill.committed
                    self.tally.kills["after a call" if committed else "before a call"] += 1
                    return False
                except CloudError as error:
                    self.events.append(str(error))
                    return False
            if outcome.lost:
                self.events.append(outcome.lost)
            return set(outcome.statuses.values()) <= {Status.OK, Status.CHANGED}

        return do

    def both(self, one: Do, other: Do) -> Do:
        """Has two work at once; False if one of them failed."""

        def do(run: Run) -> bool:
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(one, Run(kill=run.kill))
                second = pool.submit(other, Run(kill=run.second))
            return first.result() and second.result()

        return do

    def endure(self, do: Do, runs: Sequence[Run], begin: Do | None = None) -> int:
        """Does it until it is well, the first time as `begin` does.

        Returns how many reruns that took; raises AssertionError when they were too many.
        """
        for nth in range(RERUNS + 1):
            run = runs[nth] if nth < len(runs) else Run()
            if nth >= NEW:
                self.calm()
            self.disturb(run)
            self.events.append(f"--- run {nth}")
            well = (begin or do)(run) if nth == 0 else do(run)
            self.look_for_intruders()
            if well:
                self.calm()
                return nth
            self.recover()
        raise AssertionError(f"not well after {RERUNS} reruns")

    def disturb(self, run: Run) -> None:
        """Puts a run's faults in force."""
        for rule in run.faults:
            self.emulator.fault(**rule)

    def faults(self) -> list[Fault]:
        """The rules in force."""
        with self.emulator.http() as client:
            found: list[Fault] = client.get("/emulator/faults").json()["faults"]
        return found

    def calm(self) -> None:
        """Ends the faults, and counts what they did."""
        for fault in self.faults():
            kind = kind_of(fault)
            used = fault["used"]
            self.tally.rules[kind] += 1
            self.tally.used[kind] += used > 0
            self.tally.strikes[kind] += used
        with self.emulator.http() as client:
            client.delete("/emulator/faults").raise_for_status()

    def look_for_intruders(self) -> None:
        """Notes what races have left their mark on; what is removed keeps none."""
        rules = {fault["id"]: fault["rule"] for fault in self.faults()}
        calls = self.emulator.calls()
        self.emulator.forget()
        self.tally.calls += len(calls)
        for call in calls:
            on_project = call["product"] == "cloudresourcemanager"
            struck = [rules[each] for each in call["fault"].split(",") if each]
            if is_raced(struck) and (on_project or not self.removing):
                self.intruded.append(call["path"])

    def recover(self) -> None:
        """What a person does after a run that failed: wait for a dead run's lease, and do as told.

        An instance whose creation failed is for a person to delete: the run says so.
        """
        self.simulation.clock.sleep(self.ttl + 2)
        path = f"sqladmin/sql/v1beta4/projects/{self.project}/instances/orders"
        if self.by_hand("GET", path).get("state") == "FAILED":
            self.events.append("deleted the failed instance by hand")
            self.by_hand("DELETE", path)
            self.simulation.clock.sleep(60)

    def by_hand(self, verb: str, path: str) -> dict[str, Any]:
        """Does something by hand, as often as it takes: faults strike whoever calls."""
        for _ in range(TRIES):
            with suppress(requests.ConnectionError):
                answer = requests.request(verb, f"http://{self.emulator.host}/{path}", timeout=60)
                # Where the API is not enabled, nothing is there.
                if answer.ok or answer.status_code == 404 or "SERVICE_DISABLED" in answer.text:
                    found: dict[str, Any] = answer.json()
                    return found
            self.simulation.clock.sleep(1)
        raise AssertionError(f"{verb} {path} did not work")

    def delete(self, missing: Sequence[str]) -> None:
        """Deletes by hand what a drift takes away."""
        location = f"projects/{self.project}/locations/{REGION}"
        if "job" in missing:
            self.by_hand("DELETE", f"run/v2/{location}/jobs/orders-migrate")
        if "trigger" in missing:
            triggers = f"cloudbuild/v1/{location}/triggers"
            for each in self.by_hand("GET", triggers).get("triggers", []):
                self.by_hand("DELETE", f"{triggers}/{each['id']}")
        self.simulation.clock.sleep(60)

    def check(self, undisturbed: dict[str, Json], do: Do) -> None:
        """Raises AssertionError unless it is the undisturbed world, with nothing left to do."""
        self.compare(undisturbed, self.world())
        assert self.neighbours.things() == self.theirs, "something of others was touched"
        for path in self.intruded:
            assert is_marked(self.emulator.host, path), f"somebody else's mark is gone from {path}"
        self.emulator.forget()
        self.events.append("--- a run with nothing to do")
        assert do(Run()), "the next run failed"
        written = [f"{one['http']} {one['path']}" for one in self.emulator.calls() if one["write"]]
        assert not written, f"the next run wrote: {written}"

    def check_bare(self) -> None:
        """Raises AssertionError unless it is the world before the first run, but for what stays."""
        left, before = self.world(), dict(self.bare)
        for kept in KEPT:
            left.pop(kept, None)
            before.pop(kept, None)
        self.compare(before, left)

    def compare(self, expected: dict[str, Json], found: dict[str, Json]) -> None:
        """Raises AssertionError with the difference of two worlds."""
        before, after = (
            json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (expected, found)
        )
        difference = "\n".join(
            difflib.unified_diff(before, after, "undisturbed", "disturbed", n=6, lineterm="")
        )
        assert not difference, f"the worlds differ:\n{difference}"


def kind_of(fault: Fault) -> str:
    """The kind of a rule, as it is counted."""
    rule = fault["rule"]
    if rule["kind"] == "operation":
        return "operation fails" if "name" in rule else "operation takes long"
    if rule["kind"] in {"error", "reset"}:
        status = rule.get("status", 0)
        what = str(rule["kind"]) if not status else "5xx" if int(status) >= 500 else str(status)
        return f"{what} {'after' if rule.get('after') else 'before'}"
    return str(rule["kind"])


def is_raced(struck: Sequence[Rule]) -> bool:
    """Whether somebody else wrote before a call: not before one that was stopped on its way."""
    stopped = any(each["kind"] in {"error", "reset"} and not each.get("after") for each in struck)
    return not stopped and any(each["kind"] == "race" for each in struck)


def cleared_of_marks(value: Json) -> Json:
    """A value without what races leave, and without the number of an attempt."""
    if isinstance(value, dict):
        inner = {key: cleared_of_marks(each) for key, each in value.items()}
        if inner.get("role") and not inner.get("members"):
            return None
        gone = {LABEL, ATTEMPT}
        return {key: each for key, each in inner.items() if key not in gone and each != {}}
    if isinstance(value, list):
        cleared = [cleared_of_marks(each) for each in value if each != STRANGER]
        return [each for each in cleared if each is not None]
    return value


def is_marked(host: str, path: str) -> bool:
    """Whether what a race left its mark on still has it, if it is there at all."""
    url = f"http://{host}{path.replace(':setIamPolicy', ':getIamPolicy')}"
    if "cloudresourcemanager" in path:
        answer = requests.post(url, json={}, timeout=60)
    else:
        answer = requests.get(url, timeout=60)
    return answer.status_code == 404 or LABEL in answer.text or STRANGER in answer.text


def live(trial: Trial, ordeal: Ordeal) -> int:
    """Lives through an ordeal. Returns the reruns that it took, the most of its parts."""
    shape = ordeal.shape
    first, again = ordeal.runs
    provision = trial.provision(shape)
    if ordeal.story is Story.FIRST:
        return trial.endure(provision, ordeal.runs)
    if ordeal.story is Story.TWO:
        trial.ttl = LONG
        both = trial.both(provision, trial.provision(shape))
        return trial.endure(provision, ordeal.runs, begin=both)
    assert provision(Run()), "the undisturbed run before it failed"
    if ordeal.story is Story.CHANGE:
        trial.delete(ordeal.missing)
        return trial.endure(trial.provision(grown(shape)), ordeal.runs)
    trial.removing = True
    if ordeal.story is Story.RETURN:
        trial.disturb(first)
        if not trial.destroy(shape)(first):
            trial.recover()
        trial.look_for_intruders()
        trial.removing = False
        return trial.endure(provision, [again])
    reruns = trial.endure(trial.destroy(shape), ordeal.runs)
    trial.check_bare()
    trial.removing = False
    return max(reruns, trial.endure(provision, [Run(again.faults, Kill(30, True))]))


def grown(shape: Shape) -> Shape:
    """A stack of which more is declared than at first."""
    return Shape(shape.trigger, shape.secrets, shape.invokers, grown=True)

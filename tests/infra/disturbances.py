"""A seed → what a run of it meets: a stack, a story, faults by rule, and where its processes die.

The same seed always gives the same `Ordeal`. Every fault is finite: one that never ends is no
disturbance that a rerun could outlive. Nothing is called here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from infra.emulator.faults_races import MEMBER

type Rule = dict[str, str | int | float | bool]

IAM, RUN = "google.iam.admin.v1.IAM", "google.cloud.run.v2"
SECRETS = "google.cloud.secretmanager.v1.SecretManagerService"
REGISTRY = "google.devtools.artifactregistry.v1.ArtifactRegistry"
CONNECTIONS = "google.devtools.cloudbuild.v2.RepositoryManager"
SQL, APIS = "google.cloud.sql.v1beta4", "google.api.serviceusage.v1.ServiceUsage"
PROJECTS = "google.cloud.resourcemanager.v3.Projects"

POLICIES = [
    f"{PROJECTS}.SetIamPolicy",
    f"{SECRETS}.SetIamPolicy",
    f"{REGISTRY}.SetIamPolicy",
    f"{RUN}.Services.SetIamPolicy",
    "storage.buckets.setIamPolicy",
]
READS = [
    "*.Get*",
    "*.List*",
    "*etIamPolicy",
    "*Operation*.Get*",
    "*.BatchGetServices",
    "*AccessSecretVersion",
]


@dataclass(frozen=True)
class Methods:
    """What a run calls: patterns of its writes, so that most faults find something to strike."""

    begun: tuple[str, ...]
    """Those that begin a long-running operation."""
    others: tuple[str, ...]
    late: tuple[str, ...]
    """Those whose effect may be seen late."""
    raced: tuple[str, ...]
    """Those that change what is there, so that somebody else may change it too."""


MAKING = Methods(
    begun=(
        f"{APIS}.BatchEnableServices",
        f"{REGISTRY}.CreateRepository",
        f"{CONNECTIONS}.Create*",
        f"{RUN}.Services.CreateService",
        f"{RUN}.Jobs.CreateJob",
        f"{SQL}.SqlInstancesService.Insert",
        f"{SQL}.SqlDatabasesService.Insert",
        f"{SQL}.SqlUsersService.Insert",
    ),
    others=(
        *POLICIES,
        f"{IAM}.CreateServiceAccount",
        f"{SECRETS}.CreateSecret",
        f"{SECRETS}.AddSecretVersion",
        f"{SECRETS}.UpdateSecret",
        "storage.buckets.insert",
        "storage.objects.*",
        "*CreateBuildTrigger",
    ),
    late=(*POLICIES[:2], f"{IAM}.CreateServiceAccount", f"{APIS}.BatchEnableServices"),
    raced=(*POLICIES, "*.SetIamPolicy", f"{SECRETS}.UpdateSecret"),
)
CHANGING = Methods(
    begun=(
        f"{RUN}.Services.UpdateService",
        f"{RUN}.Jobs.CreateJob",
        f"{SQL}.SqlInstancesService.Patch",
    ),
    others=(
        f"{SECRETS}.SetIamPolicy",
        f"{RUN}.Services.SetIamPolicy",
        f"{SECRETS}.CreateSecret",
        "storage.objects.*",
        "*CreateBuildTrigger",
    ),
    late=(f"{SECRETS}.SetIamPolicy",),
    raced=(
        f"{SECRETS}.SetIamPolicy",
        f"{RUN}.Services.*",
        f"{SQL}.SqlInstancesService.Patch",
    ),
)
REMOVING = Methods(
    begun=(
        f"{REGISTRY}.DeleteRepository",
        f"{RUN}.Services.DeleteService",
        f"{RUN}.Jobs.DeleteJob",
        f"{SQL}.SqlInstancesService.Delete",
    ),
    others=(
        f"{PROJECTS}.SetIamPolicy",
        f"{IAM}.DeleteServiceAccount",
        f"{SECRETS}.DeleteSecret",
        "storage.buckets.delete",
        "storage.objects.*",
        "*DeleteBuildTrigger",
    ),
    late=(f"{IAM}.DeleteServiceAccount", f"{PROJECTS}.SetIamPolicy"),
    raced=(
        f"{PROJECTS}.SetIamPolicy",
        f"{SECRETS}.DeleteSecret",
        f"{RUN}.*.Delete*",
        "storage.buckets.delete",
    ),
)


class Story(StrEnum):
    """What the runs of a seed are about."""

    FIRST = "first run"
    CHANGE = "change"
    """The stack is there and well; then more is declared, and a part of it is gone."""
    REMOVAL = "removal"
    """What is there is removed; then it is made anew."""
    RETURN = "return"
    """A removal is broken off, and what was to be removed is provisioned again."""
    TWO = "two at once"


@dataclass(frozen=True)
class Shape:
    """A stack, as its environment file declares it."""

    trigger: bool
    secrets: int
    invokers: int
    grown: bool = False

    @property
    def fields(self) -> dict[str, object]:
        """The fields of the environment."""
        service: dict[str, object] = {"name": "orders", "invokers": INVOKERS[: self.invokers]}
        database: dict[str, object] = {"deletion_protection": False}
        count = self.secrets
        if self.grown:
            service |= {"memory": "1Gi", "max_instances": 4, "invokers": [*INVOKERS, LATER]}
            database |= {"tier": "db-custom-2-7680", "flags": {"log_min_duration_statement": "9"}}
            count += 1
        fields: dict[str, object] = {
            "service": service,
            "database": database,
            "secrets": {f"KEY_{nth}": f"key-{nth}" for nth in range(count)},
        }
        if self.trigger:
            fields["monitoring"] = {"error_ratio": 0.1} if self.grown else {}
            fields["trigger"] = {
                "repository": "acme/orders",
                "connection": "github",
                "branch": "^main$",
                "deploy": not self.grown,
                "checks": True,
            }
        return fields


INVOKERS = ["allUsers", "group:callers@acme.com"]
LATER = "user:carol@acme.com"


@dataclass(frozen=True)
class Kill:
    """Where a process dies: at which of its calls, before or after the cloud has carried it out."""

    call: int
    committed: bool


@dataclass(frozen=True)
class Run:
    """What one run meets."""

    faults: tuple[Rule, ...] = ()
    kill: Kill | None = None
    second: Kill | None = None
    """The death of the other process, where there are two."""


@dataclass(frozen=True)
class Ordeal:
    """All that a seed stands for."""

    seed: int
    story: Story
    shape: Shape
    runs: tuple[Run, ...]
    """The first run, and the first of its reruns; later ones meet nothing new."""
    missing: tuple[str, ...] = field(default=())
    """What somebody deletes by hand before a change: the job, the trigger."""

    @property
    def told(self) -> str:
        """All of it, in lines."""
        lines = [f"seed {self.seed}: {self.story}, {self.shape}, deleted by hand: {self.missing}"]
        for nth, run in enumerate(self.runs):
            lines.append(f"  run {nth}: dies at {run.kill}, the other at {run.second}")
            lines += [f"    {rule}" for rule in run.faults]
        return "\n".join(lines)


def ordeal(seed: int) -> Ordeal:
    """What a seed stands for."""
    dice = Random(seed)  # noqa: S311
    story = dice.choices(list(Story), weights=[35, 20, 20, 10, 15])[0]
    # Few shapes: each needs a world of its own to be compared with.
    size = dice.randrange(3)
    shape = Shape(trigger=dice.random() < 0.6, secrets=size, invokers=size)
    methods = METHODS.get(story, MAKING)
    first = Run(
        faults=tuple(rule(dice, methods) for _ in range(dice.randrange(7))),
        kill=kill(dice, 0.6),
        second=kill(dice, 0.3) if story is Story.TWO else None,
    )
    methods = MAKING if story in {Story.REMOVAL, Story.RETURN} else methods
    faults = tuple(rule(dice, methods) for _ in range(dice.randrange(4)))
    again = Run(faults, kill(dice, 0.3))
    gone = tuple(each for each in ("job", "trigger") if dice.random() < 0.4)
    return Ordeal(seed, story, shape, (first, again), gone if story is Story.CHANGE else ())


METHODS = {Story.CHANGE: CHANGING, Story.REMOVAL: REMOVING, Story.RETURN: REMOVING}


def kill(dice: Random, likely: float) -> Kill | None:
    """A death, more or less likely; a first run makes some 90 calls, another fewer."""
    call, committed = int(dice.triangular(1, 100, 40)), dice.random() < 0.5
    return Kill(call, committed) if dice.random() < likely else None


def rule(dice: Random, methods: Methods) -> Rule:
    """A finite fault."""
    makers = [refusal, throttle, busy, cut, lost, failing, slow, late, race, delay]
    made = dice.choices(makers, weights=[4, 2, 3, 4, 3, 2, 2, 3, 3, 1])[0](dice, methods)
    if "nth" in made:
        return made
    # A failed operation may cost a run, so it fails once.
    return made | choice(dice, 1 if "name" in made and made["kind"] == "operation" else 4)


def choice(dice: Random, most: int) -> Rule:
    """Which of the calls that fit a rule are struck, at most so often."""
    which, times = dice.randrange(3), dice.randint(1, most)
    if which == 0:
        return {"nth": dice.choice([1, 1, 1, 2, 3])}
    if which == 1:
        return {"first": times}
    return {"probability": 0.6, "seed": dice.randrange(1000), "times": times}


def calls(dice: Random, methods: Methods) -> Rule:
    """Some of the calls: of a method or several, the reads, or a write whatever it is."""
    which = dice.choices(range(4), weights=[4, 4, 3, 5])[0]
    if which == 3:
        return {"method": "*", "write": True, "nth": dice.randint(1, 25)}
    return {"method": dice.choice([methods.begun, methods.others, READS][which])}


def refusal(dice: Random, methods: Methods) -> Rule:
    """Google fails, before it has carried out the call or after."""
    return {
        "kind": "error",
        "status": dice.choice([500, 502, 503, 503, 504]),
        "after": dice.random() < 0.5,
        "message": "The service is currently unavailable.",
        **calls(dice, methods),
    }


def throttle(dice: Random, methods: Methods) -> Rule:
    """Too many calls in a minute."""
    told: Rule = dice.choice(
        [
            {"status": 429, "reason": "RATE_LIMIT_EXCEEDED"},
            {"status": 403, "name": "PERMISSION_DENIED", "reason": "rateLimitExceeded"},
        ]
    )
    limit = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'."
    return {"kind": "error", **told, "message": limit, **calls(dice, methods)}


def busy(dice: Random, methods: Methods) -> Rule:
    """Another operation has to end first, or somebody was faster."""
    fitting = [
        each
        for each in (
            *({"method": one, **OPERATION_IN_PROGRESS} for one in methods.begun if SQL in one),
            *({"method": one, **ACTIVATION} for one in methods.begun if APIS in one),
            *({"method": one, **CONCURRENT} for one in methods.others if one in POLICIES),
        )
    ]
    return {"kind": "error", **dice.choice(fitting)}


OPERATION_IN_PROGRESS: Rule = {
    "status": 409,
    "reason": "operationInProgress",
    "message": "Operation failed because another operation was already in progress.",
}
ACTIVATION: Rule = {
    "status": 400,
    "name": "FAILED_PRECONDITION",
    "message": "Another activation or deactivation is in progress for the project.",
}
CONCURRENT: Rule = {
    "status": 409,
    "name": "ABORTED",
    "message": "There were concurrent policy changes. Please retry the whole read-modify-write "
    "with exponential backoff.",
}


def cut(dice: Random, methods: Methods) -> Rule:
    """The connection breaks, before the call is carried out or after."""
    return {"kind": "reset", "after": dice.random() < 0.5, **calls(dice, methods)}


def lost(dice: Random, methods: Methods) -> Rule:
    """A write is carried out, and its answer lost."""
    told: Rule = dice.choice([{"kind": "reset"}, {"kind": "error", "status": 503}])
    return {**told, "after": True, "method": dice.choice([*methods.begun, *methods.others])}


def failing(dice: Random, methods: Methods) -> Rule:
    """A long-running operation fails."""
    name = dice.choice(["INTERNAL", "UNAVAILABLE", "ABORTED"])
    return {"kind": "operation", "name": name, "method": dice.choice(methods.begun)}


def slow(dice: Random, methods: Methods) -> Rule:
    """A long-running operation takes its time."""
    method = dice.choice(methods.begun)
    # Nothing tells a repository that is still being deleted from one that is there: it is gone
    # before a person runs the command again.
    longest = 60 if method == f"{REGISTRY}.DeleteRepository" else 600
    return {"kind": "operation", "seconds": dice.randint(1, longest), "method": method}


def late(dice: Random, methods: Methods) -> Rule:
    """What is made, granted or enabled is not known everywhere at once."""
    return {"kind": "late", "seconds": dice.randint(1, 240), "method": dice.choice(methods.late)}


def race(dice: Random, methods: Methods) -> Rule:
    """Somebody else writes just before we do."""
    return {"kind": "race", "method": dice.choice(methods.raced), "write": True}


def delay(dice: Random, methods: Methods) -> Rule:
    """An answer takes longer, so that others overtake it."""
    return {"kind": "delay", "seconds": dice.uniform(0.005, 0.02), **calls(dice, methods)}


STRANGER = MEMBER
"""Whom a race gives a role."""

"""The permissions that each kind names are those its calls need, no more and no fewer."""

import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import yaml

from infra.apply import apply, refuse
from infra.cloud import Cloud
from infra.doctor.role import LEASE, PROVISION, RELEASE, needed, role
from infra.emulator import roles
from infra.environment import Environment
from infra.events import Event, Finished, Status
from infra.outcome import Outcome
from infra.plan import Session, plan, to_converge, to_remove
from infra.resources.base import Resource
from infra.resources.iam import Grants, Scope
from infra.stack import stack
from tests.infra.limited import make_account, set_role
from tests.infra.services import TRIGGER, declare, make_folder

VERBS = {"read", "create", "update", "delete"}
EXPLICIT = {each for role in roles.ROLES.values() for each in role if "*" not in each}
KINDS = {each.rpartition(".")[0] for each in EXPLICIT}
"""`run.services`: what there are permissions about."""
# Of those that only an administrator's role has, which is "everything of the product".
ADMINISTER = {"create", "delete", "update", "get", "list", "getIamPolicy", "setIamPolicy"}
ACCOUNT = "provisioner"


def known(permission: str) -> bool:
    """Whether Google's roles, as the emulator has them, know a permission."""
    kind, _, verb = permission.rpartition(".")
    is_covered = any(
        roles.grants(role, permission) for role in roles.ROLES if role != "roles/owner"
    )
    return permission in EXPLICIT or (kind in KINDS and verb in ADMINISTER and is_covered)


def everything(folder: Path) -> list[Resource]:
    """A stack with each kind there is."""
    return stack(
        declare(trigger=TRIGGER, monitoring={}, secrets={"PAYMENT__KEY": "payment-key"}), folder
    )


def ours(kind: type[object]) -> set[type[object]]:
    """The classes of a kind that can be made, in the engine."""
    below = {each for one in kind.__subclasses__() for each in {one} | ours(one)}
    return {
        each
        for each in below
        if not getattr(each, "__abstractmethods__", None) and each.__module__.startswith("infra.")
    }


def test_every_kind_is_looked_at(tmp_path: Path) -> None:
    found = {type(each) for each in everything(make_folder(tmp_path))}
    assert found == ours(Resource)


def test_every_kind_says_what_it_needs(tmp_path: Path) -> None:
    for each in everything(make_folder(tmp_path)):
        assert isinstance(each, Grants) or set(each.permissions) == VERBS, each.kind
        named = [permission for verb in VERBS for permission in each.requires(verb)]
        assert named
        for permission in named:
            assert known(permission), f"{each.kind}: there is no {permission}"


def test_every_scope_says_what_it_needs(folder: Path) -> None:
    scopes = {type(each): each for each in map(scope_of, everything(folder)) if each}
    assert set(scopes) == ours(Scope)
    for each in scopes.values():
        assert known(f"{each.policy}.getIamPolicy")
        assert known(f"{each.policy}.setIamPolicy")


def scope_of(resource: Resource) -> Scope | None:
    """What its policy is on, for grants."""
    return resource.scope if isinstance(resource, Grants) else None


@pytest.mark.parametrize("invented", ["run.service.get", "run.services.gets", "cloudsql.instances"])
def test_an_invented_permission_is_noticed(invented: str) -> None:
    assert not known(invented)


type Run = Callable[..., tuple[Outcome, str]]
PROJECTS = count()


class Limited:
    """A project in which an account has the permissions given, and provisions."""

    def __init__(self, host: str, folder: Path, permissions: set[str]) -> None:
        project = f"limited-{next(PROJECTS)}"
        email = f"{ACCOUNT}@{project}.iam.gserviceaccount.com"
        fields = {
            "project": project,
            "trigger": TRIGGER,
            "monitoring": {},
            "database": {"deletion_protection": False},
        }
        self.folder = folder
        self.owner = Cloud(declare(**fields), host)
        self.environment: Environment = declare(**fields, impersonate=email)
        self.cloud = Cloud(self.environment, host)
        make_account(self.owner, ACCOUNT, permissions)

    def allow(self, permissions: set[str]) -> None:
        """Gives the account other permissions."""
        set_role(self.owner, permissions, again=True)

    def run(self, *, remove: bool = False) -> tuple[Outcome, str]:
        """Provisions, or destroys, as the account; how it ended, and what was said."""
        events: list[Event] = []
        session = Session(self.cloud, events.append)
        decide = to_remove if remove else to_converge
        planned = plan(stack(self.environment, self.folder), session, decide)
        is_refused = planned.refused or planned.failures
        outcome = refuse(planned, session) if is_refused else apply(planned, session)
        texts = [each.text for each in events if isinstance(each, Finished)]
        return outcome, "\n".join(texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's."""
    return make_folder(tmp_path / "orders")


def wanted(folder: Path, *verbs: str) -> set[str]:
    """What a stack with a trigger needs for all that the verbs say."""
    lease = LEASE if {*verbs} != {"read"} else ()
    return {*needed(stack(declare(trigger=TRIGGER, monitoring={}), folder), verbs), *lease}


def test_exactly_these_provision_and_destroy(host: str, folder: Path) -> None:
    limited = Limited(host, folder, wanted(folder, *VERBS))
    outcome, said = limited.run()
    assert not outcome.count(Status.FAILED), said
    assert outcome.count(Status.CHANGED) > 15
    again, said = limited.run()
    assert again.count(Status.OK) == len(again.statuses), said
    outcome, said = limited.run(remove=True)
    assert not outcome.count(Status.FAILED), said


@pytest.mark.parametrize(
    "missing",
    [
        "artifactregistry.repositories.setIamPolicy",
        "cloudbuild.connections.create",
        "cloudsql.users.create",
        "monitoring.alertPolicies.create",
        "monitoring.dashboards.create",
        "resourcemanager.projects.getIamPolicy",
        "run.services.create",
        "secretmanager.versions.access",
        "serviceusage.services.enable",
        "storage.buckets.create",
    ],
)
def test_with_one_missing_it_fails_and_names_it(host: str, folder: Path, missing: str) -> None:
    enough = wanted(folder, *PROVISION)
    assert missing in enough
    outcome, said = Limited(host, folder, enough - {missing}).run()
    assert outcome.count(Status.FAILED), said
    assert re.search(rf"\b{re.escape(missing)}\b", said), said


def test_the_role_that_is_printed_is_the_union(folder: Path) -> None:
    environment = declare(trigger=TRIGGER, monitoring={})
    resources = stack(environment, folder)
    released = {each for step in RELEASE.values() for each in step}
    assert all(map(known, released))
    for destroy, verbs in ((False, PROVISION), (True, tuple(VERBS))):
        loaded = yaml.safe_load(role(environment, resources, destroy=destroy))
        assert set(loaded) == {"title", "description", "stage", "includedPermissions"}
        assert loaded["stage"] == "GA"
        listed = loaded["includedPermissions"]
        assert listed == sorted(released | wanted(folder, *verbs))
        assert len(loaded["title"]) <= 100
        assert len(loaded["description"]) <= 300

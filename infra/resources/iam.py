"""IAM: the accounts the service acts as, and what each may do.

A policy is replaced whole: it is read at version 3, changed, and sent with its etag; when somebody
was faster the whole cycle is redone. Bindings that are not ours, and conditional ones, stay.
"""

# ruff: noqa: PLC0415

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, override

from infra.causes import Cause
from infra.cloud import Cloud
from infra.names import Names
from infra.resources.asks import POLICY, POLICY_QUERY, Ask, flag, listed, text
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
    mark_text,
    read_mark,
)
from infra.rest import Json, Request
from infra.retry import CloudError
from infra.yaml_file import Value

if TYPE_CHECKING:
    from google.iam.v1 import iam_policy_pb2  # type: ignore[import-untyped]

POLICY_VERSION = 3
GRANTED = "granted"
SEPARATOR = " to "
PUBLIC = {"allUsers", "allAuthenticatedUsers"}
PAGE = "100"
CYCLES = 20

type Grant = tuple[str, str]
"""A role and a member."""


@dataclass(frozen=True)
class Account(Resource):
    """A service account; its description is its mark, for it has no labels."""

    role: str
    """run, build, migrate or checks."""
    purpose: str

    kind: ClassVar[str] = "account"
    tags: ClassVar[tuple[str, ...]] = ("iam", "accounts")
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("iam.serviceAccounts.get", "iam.serviceAccounts.list"),
        "create": ("iam.serviceAccounts.create",),
        "update": ("iam.serviceAccounts.enable", "iam.serviceAccounts.update"),
        "delete": ("iam.serviceAccounts.delete",),
    }

    @property
    @override
    def name(self) -> str:
        return f"{self.names.name}-{self.role}"

    @property
    def email(self) -> str:
        """Its address, which is its name in policies."""
        return self.names.account(self.role)

    @property
    def description(self) -> str:
        """What it is for, and whose it is."""
        return f"{self.purpose} {mark_text(self.names)}"

    @override
    def asks(self) -> Mapping[str, Ask]:
        path = f"v1/projects/{self.names.project}/serviceAccounts"
        accounts = Request("iam", path, (("pageSize", PAGE),), "accounts")
        account = Request("iam", f"{path}/{self.email}")
        return {"account": Ask("the service accounts", accounts, account, ("email", self.email))}

    @override
    def observe(self, found: Found) -> Live | None:
        account = found.get("account")
        if account is None:
            return None
        labels = read_mark(text(account, "description"))
        return Live(
            {
                "displayName": text(account, "displayName"),
                "disabled": flag(account, "disabled"),
                **labels_live(labels),
            },
            labels=labels,
        )

    @override
    def declared(self, live: Live | None) -> Fields:
        return {"displayName": self.name, "disabled": False, **labels_declared(self.names)}

    def url(self, cloud: Cloud) -> str:
        """Where the accounts are."""
        return f"{cloud.url('iam')}/v1/projects/{self.names.project}/serviceAccounts"

    @override
    def create(self, work: Work) -> None:
        account: Json = {"displayName": self.name, "description": self.description}
        body: Json = {"accountId": self.name, "serviceAccount": account}
        work.call("create", lambda: send(work.cloud, "POST", self.url(work.cloud), body))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        url = f"{self.url(work.cloud)}/{self.email}"
        if any(each.path == "disabled" for each in differences):
            work.call("enable", lambda: send(work.cloud, "POST", f"{url}:enable", {}))
        if any(each.path != "disabled" for each in differences):
            account: Json = {"displayName": self.name, "description": self.description}
            body: Json = {"serviceAccount": account, "updateMask": "displayName,description"}
            work.call("update", lambda: send(work.cloud, "PATCH", url, body))

    @override
    def delete(self, work: Work) -> None:
        url = f"{self.url(work.cloud)}/{self.email}"
        work.call("delete", lambda: send(work.cloud, "DELETE", url))


def send(cloud: Cloud, method: str, url: str, body: Json | None = None) -> Json:
    """The answer of an API without a REST client of Google's. Raises GoogleAPICallError."""
    from google.api_core.exceptions import from_http_response

    response = cloud.session.request(  # type: ignore[no-untyped-call]
        method, url, json=body, timeout=60
    )
    if not response.ok:
        raise from_http_response(response)  # type: ignore[no-untyped-call]
    answer: Json = response.json() if response.content else {}
    return answer


@dataclass(frozen=True)
class Scope(ABC):
    """What a policy is on."""

    resource: str
    """Its full name."""
    title: str
    """What people call it."""

    tags: ClassVar[tuple[str, ...]] = ()
    """The products that grants on it are chosen by, with --tags."""
    policy: ClassVar[str]
    """What its permissions begin with: `run.services`, for `run.services.getIamPolicy`."""

    @abstractmethod
    def request(self) -> Request:
        """What fetches the policy, at version 3."""

    @abstractmethod
    def set(self, cloud: Cloud, policy: Json) -> None:
        """Replaces the policy, if its etag is still the one that is sent."""


@dataclass(frozen=True)
class ProjectScope(Scope):
    """The project's policy."""

    policy: ClassVar[str] = "resourcemanager.projects"

    @override
    def request(self) -> Request:
        return Request("cloudresourcemanager", f"v3/{self.resource}:getIamPolicy", body=POLICY)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        cloud.projects.set_iam_policy(replacing(self.resource, policy))


@dataclass(frozen=True)
class AccountScope(Scope):
    """Who may act as a service account."""

    policy: ClassVar[str] = "iam.serviceAccounts"

    @override
    def request(self) -> Request:
        return Request("iam", f"v1/{self.resource}:getIamPolicy", body=POLICY)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        send(
            cloud, "POST", f"{cloud.url('iam')}/v1/{self.resource}:setIamPolicy", {"policy": policy}
        )


def get_policy(api: str, version: str, resource: str) -> Request:
    """What fetches a policy where Google has it with a GET."""
    return Request(api, f"{version}/{resource}:getIamPolicy", ((POLICY_QUERY, "3"),))


def replacing(resource: str, policy: Json) -> "iam_policy_pb2.SetIamPolicyRequest":
    """The request of Google's clients that replaces a policy."""
    from google.iam.v1 import iam_policy_pb2, policy_pb2
    from google.protobuf import json_format  # type: ignore[import-untyped]

    message = json_format.ParseDict(policy, policy_pb2.Policy())
    return iam_policy_pb2.SetIamPolicyRequest(resource=resource, policy=message)


@dataclass(frozen=True)
class Grants(Resource):
    """The roles that members have on one thing: ours are there, those of others stay."""

    scope: Scope
    grants: tuple[Grant, ...]
    guarded: tuple[str, ...] = field(default=(), kw_only=True)
    """Roles that the public has only where that is declared; others' grants are left alone."""
    withdrawn: tuple[Grant, ...] = field(default=(), kw_only=True)
    """Grants of ours that are declared no longer, and taken back."""

    kind: ClassVar[str] = "grants"
    tags: ClassVar[tuple[str, ...]] = ("iam",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Those of its scope: see `requires`."""

    @property
    @override
    def name(self) -> str:
        return f"on {self.scope.title}"

    @override
    def requires(self, verb: str) -> tuple[str, ...]:
        read, write = f"{self.scope.policy}.getIamPolicy", f"{self.scope.policy}.setIamPolicy"
        return (read,) if verb == "read" else (read, write)

    @override
    def declared(self, live: Live | None) -> Fields:
        return {path(grant): GRANTED for grant in self.grants}

    @override
    def asks(self) -> Mapping[str, Ask]:
        return {"policy": Ask(f"who may do what {self.name}", self.scope.request())}

    @override
    def observe(self, found: Found) -> Live | None:
        policy = found.get("policy")
        if policy is None:
            # On what is not there yet nobody has a role: with none to grant, that is as declared.
            return None if self.grants else Live({}, empty=True)
        there = granted(policy)
        return Live(there, empty=not any(path(grant) in there for grant in self.grants))

    @override
    def differences(self, live: Live) -> list[Difference]:
        missing = super().differences(live)
        declared = self.declared(live)
        extra = [
            Difference(each, GRANTED, None)
            for each in live.fields
            if each not in declared and self.is_taken_back(*unpath(each))
        ]
        return missing + extra

    def is_taken_back(self, role: str, who: str) -> bool:
        """Whether a grant that is not declared is taken back, rather than somebody else's."""
        return (
            (role, who) in self.withdrawn
            or self.is_undeclared_public(role, who)
            or self.is_of_a_former_account(role, who)
        )

    def is_undeclared_public(self, role: str, who: str) -> bool:
        """Whether a grant opens to the public what is to be private."""
        return role in self.guarded and who in PUBLIC

    def is_of_a_former_account(self, role: str, who: str) -> bool:
        """Whether it was granted to an account of ours that was deleted, and made anew since.

        Google keeps such a grant, to `deleted:serviceAccount:EMAIL?uid=NUMBER` (IAM, "Deleted
        principals").
        """
        return any(
            role == granted_role and who.startswith(f"deleted:{member}?uid=")
            for granted_role, member in self.grants
        )

    @override
    def create(self, work: Work) -> None:
        self.change(work, self.grants, ())

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        removed = [unpath(each.path) for each in differences if each.new is None]
        self.change(work, self.grants, removed)

    @override
    def delete(self, work: Work) -> None:
        self.change(work, (), self.grants)

    def change(self, work: Work, added: Iterable[Grant], removed: Iterable[Grant]) -> None:
        """Grants and revokes, redoing the whole cycle while somebody else is faster."""

        def cycle() -> None:
            before = work.cloud.rest.fetch(self.scope.request())
            policy = deepcopy(before) if isinstance(before, dict) else {}
            for grant in removed:
                revoke(policy, grant)
            for grant in added:
                give(policy, grant)
            if listed(policy, "bindings") != listed(before, "bindings"):
                self.scope.set(work.cloud, {**policy, "version": POLICY_VERSION})

        for attempt in range(CYCLES):
            try:
                return work.call("change the policy", cycle)
            except CloudError as error:
                if error.cause is not Cause.CONFLICT or attempt == CYCLES - 1:
                    raise
                work.retry.pause(0.1 * attempt)


def unconditional(policy: Value) -> list[Json]:
    """A policy's bindings without a condition."""
    return [each for each in listed(policy, "bindings") if not each.get("condition")]


def members(binding: Json) -> list[Value]:
    """Who is in a binding."""
    found = binding.get("members")
    return found if isinstance(found, list) else []


def granted(policy: Value) -> Fields:
    """The grants without a condition, as fields."""
    return {
        path((text(binding, "role"), str(each))): GRANTED
        for binding in unconditional(policy)
        for each in members(binding)
    }


def give(policy: Json, grant: Grant) -> None:
    """Adds a member to a role, in a binding that has no condition."""
    role, member = grant
    for binding in unconditional(policy):
        if binding.get("role") == role:
            if member not in members(binding):
                binding["members"] = [*members(binding), member]
            return
    policy["bindings"] = [*listed(policy, "bindings"), {"role": role, "members": [member]}]


def revoke(policy: Json, grant: Grant) -> None:
    """Takes a member out of a role's bindings that have no condition."""
    role, member = grant
    kept: list[Value] = []
    for binding in listed(policy, "bindings"):
        if binding.get("role") == role and not binding.get("condition"):
            binding["members"] = [each for each in members(binding) if each != member]
            if not binding["members"]:
                continue
        kept.append(binding)
    policy["bindings"] = kept


def path(grant: Grant) -> str:
    """A grant as a field."""
    return SEPARATOR.join(grant)


def unpath(text: str) -> Grant:
    """A field as a grant."""
    role, _, member = text.partition(SEPARATOR)
    return role, member


def member(names: Names, role: str) -> str:
    """An account of ours as a member."""
    return f"serviceAccount:{names.account(role)}"

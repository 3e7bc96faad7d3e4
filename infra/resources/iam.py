"""IAM: the accounts the service acts as, and what each may do.

A policy is replaced whole: it is read at version 3, changed, and sent with its etag; when somebody
was faster the whole cycle is redone. Bindings that are not ours, and conditional ones, stay.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, cast, override

from google.api_core.exceptions import from_http_response
from google.iam.v1 import (  # type: ignore[import-untyped]
    iam_policy_pb2,
    options_pb2,
    policy_pb2,
)

from infra.causes import Cause
from infra.cloud import Cloud
from infra.names import Names
from infra.resources.base import (
    Difference,
    Fields,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
    mark_text,
    read_mark,
)
from infra.retry import CloudError

POLICY_VERSION = 3
GRANTED = "granted"
SEPARATOR = " to "
PUBLIC = {"allUsers", "allAuthenticatedUsers"}
PAGE = 100
CYCLES = 20

type Json = dict[str, object]
type Grant = tuple[str, str]
"""A role and a member."""


@dataclass(frozen=True)
class Account(Resource):
    """A service account; its description is its mark, for it has no labels."""

    role: str
    """run, build or migrate."""
    purpose: str

    kind: ClassVar[str] = "account"
    tags: ClassVar[tuple[str, ...]] = ("iam", "accounts")

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
    def declared(self, live: Live | None) -> Fields:
        return {"displayName": self.name, "disabled": False, **labels_declared(self.names)}

    @override
    def read(self, work: Work) -> Live | None:
        accounts = work.shared(
            ("accounts",), "the service accounts", lambda: list_accounts(work.cloud)
        )
        mine = [each for each in accounts or [] if each.get("email") == self.email]
        return observe(mine[0]) if mine else None

    @override
    def create(self, work: Work) -> None:
        account = {"displayName": self.name, "description": self.description}
        body: Json = {"accountId": self.name, "serviceAccount": account}
        work.call("create", lambda: send(work.cloud, "POST", work.cloud.iam, body))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        url = f"{work.cloud.iam}/{self.email}"
        if any(each.path == "disabled" for each in differences):
            work.call("enable", lambda: send(work.cloud, "POST", f"{url}:enable", {}))
        if any(each.path != "disabled" for each in differences):
            account = {"displayName": self.name, "description": self.description}
            body: Json = {"serviceAccount": account, "updateMask": "displayName,description"}
            work.call("update", lambda: send(work.cloud, "PATCH", url, body))

    @override
    def delete(self, work: Work) -> None:
        url = f"{work.cloud.iam}/{self.email}"
        work.call("delete", lambda: send(work.cloud, "DELETE", url))


def observe(account: Mapping[str, object]) -> Live:
    """An account's fields."""
    labels = read_mark(str(account.get("description", "")))
    return Live(
        {
            "displayName": str(account.get("displayName", "")),
            "disabled": bool(account.get("disabled", False)),
            **labels_live(labels),
        },
        labels=labels,
    )


def list_accounts(cloud: Cloud) -> list[Json]:
    """All of the project's accounts."""
    accounts: list[Json] = []
    token = ""
    while True:
        answer = send(cloud, "GET", f"{cloud.iam}?pageSize={PAGE}&pageToken={token}")
        accounts += cast("list[Json]", answer.get("accounts", []))
        token = str(answer.get("nextPageToken", ""))
        if not token:
            return accounts


def send(cloud: Cloud, method: str, url: str, body: Json | None = None) -> Json:
    """The answer of an API without a REST client of Google's. Raises GoogleAPICallError."""
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

    @abstractmethod
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        """The policy, at version 3."""

    @abstractmethod
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        """Replaces the policy, if its etag is still the one that is sent."""


@dataclass(frozen=True)
class ProjectScope(Scope):
    """The project's policy."""

    @override
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        return cloud.projects.get_iam_policy(request)

    @override
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        cloud.projects.set_iam_policy(request)


@dataclass(frozen=True)
class Grants(Resource):
    """The roles that members have on one thing: ours are there, those of others stay."""

    scope: Scope
    grants: tuple[Grant, ...]
    guarded: tuple[str, ...] = field(default=(), kw_only=True)
    """Roles that the public has only where that is declared; others' grants are left alone."""

    kind: ClassVar[str] = "grants"
    tags: ClassVar[tuple[str, ...]] = ("iam",)
    parted: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return f"on {self.scope.title}"

    @override
    def declared(self, live: Live | None) -> Fields:
        return {path(grant): GRANTED for grant in self.grants}

    @override
    def read(self, work: Work) -> Live | None:
        policy = work.read("the policy", lambda: get_policy(work.cloud, self.scope))
        if policy is None:
            # On what is not there yet nobody has a role: with none to grant, that is as declared.
            return None if self.grants else Live({})
        return observe_policy(policy)

    @override
    def differences(self, live: Live) -> list[Difference]:
        missing = super().differences(live)
        declared = self.declared(live)
        extra = [
            Difference(each, GRANTED, None)
            for each in live.fields
            if each not in declared and self.is_undeclared_public(*unpath(each))
        ]
        return missing + extra

    def is_undeclared_public(self, role: str, who: str) -> bool:
        """Whether a grant opens to the public what is to be private."""
        return role in self.guarded and who in PUBLIC

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
            policy = get_policy(work.cloud, self.scope)
            before = policy.SerializeToString(deterministic=True)
            for grant in removed:
                revoke(policy, grant)
            for grant in added:
                give(policy, grant)
            if policy.SerializeToString(deterministic=True) != before:
                policy.version = POLICY_VERSION
                request = iam_policy_pb2.SetIamPolicyRequest(
                    resource=self.scope.resource, policy=policy
                )
                self.scope.set(work.cloud, request)

        for attempt in range(CYCLES):
            try:
                return work.call("change the policy", cycle)
            except CloudError as error:
                if error.cause is not Cause.CONFLICT or attempt == CYCLES - 1:
                    raise
                work.retry.pause(0.1 * attempt)


@dataclass(frozen=True)
class ProjectGrants(Grants):
    """Grants on the project, which outlives the service: they are revoked when it goes."""

    parted: ClassVar[bool] = False

    @override
    def read(self, work: Work) -> Live | None:
        live = super().read(work)
        if live is None or not any(path(grant) in live.fields for grant in self.grants):
            return None
        return live


def get_policy(cloud: Cloud, scope: Scope) -> policy_pb2.Policy:
    """The policy as it is now, with its conditions."""
    options = options_pb2.GetPolicyOptions(requested_policy_version=POLICY_VERSION)
    request = iam_policy_pb2.GetIamPolicyRequest(resource=scope.resource, options=options)
    return scope.get(cloud, request)


def observe_policy(policy: policy_pb2.Policy) -> Live:
    """The grants without a condition, as fields."""
    fields: Fields = {}
    for binding in policy.bindings:
        if not binding.HasField("condition"):
            for member in binding.members:
                fields[path((binding.role, member))] = GRANTED
    return Live(fields)


def give(policy: policy_pb2.Policy, grant: Grant) -> None:
    """Adds a member to a role, in a binding that has no condition."""
    role, member = grant
    for binding in policy.bindings:
        if binding.role == role and not binding.HasField("condition"):
            if member not in binding.members:
                binding.members.append(member)
            return
    policy.bindings.add(role=role, members=[member])


def revoke(policy: policy_pb2.Policy, grant: Grant) -> None:
    """Takes a member out of a role's bindings that have no condition."""
    role, member = grant
    for binding in list(policy.bindings):
        if binding.role == role and not binding.HasField("condition"):
            if member in binding.members:
                binding.members.remove(member)
            if not binding.members:
                policy.bindings.remove(binding)


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

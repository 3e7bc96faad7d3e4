"""Whether the caller may do what the plan is about to: no more is asked for than that."""

import re
from collections import defaultdict
from collections.abc import Iterable

from google.api_core.exceptions import InvalidArgument
from google.iam.v1 import iam_policy_pb2  # type: ignore[import-untyped]

from infra.doctor import role
from infra.doctor.base import Context, Finding, Unreadable, failed, ok, skipped
from infra.resources.iam import send

CHECK = "permissions"
AT_ONCE = 100
"""Google tests as many in a call."""
ACT_AS = "iam.serviceAccounts.actAs"
NOT_HERE = re.compile(r"[Pp]ermission '?(?P<permission>[a-zA-Z]+(?:\.[a-zA-Z]+)+)'?")
# The narrowest of Google's roles that has a permission, by what the permission begins with; the
# longest that fits is the one.
ROLES = {
    "artifactregistry.": "roles/artifactregistry.admin",
    "artifactregistry.repositories.downloadArtifacts": "roles/artifactregistry.reader",
    "cloudbuild.builds.": "roles/cloudbuild.builds.editor",
    "cloudbuild.connections.": "roles/cloudbuild.connectionAdmin",
    "cloudbuild.operations.": "roles/cloudbuild.builds.editor",
    "cloudbuild.repositories.": "roles/cloudbuild.connectionAdmin",
    "cloudsql.": "roles/cloudsql.admin",
    "iam.serviceAccounts.": "roles/iam.serviceAccountAdmin",
    ACT_AS: "roles/iam.serviceAccountUser",
    "logging.": "roles/logging.viewer",
    "resourcemanager.projects.": "roles/resourcemanager.projectIamAdmin",
    "run.": "roles/run.admin",
    "secretmanager.": "roles/secretmanager.admin",
    "serviceusage.": "roles/serviceusage.serviceUsageAdmin",
    "storage.": "roles/storage.admin",
}


def permissions(context: Context) -> list[Finding]:
    """The permissions that are missing, by the role that grants them."""
    wanted = role.due(context.plan)
    held, untested = test(context, wanted)
    missing = wanted - held - untested
    if ACT_AS in missing and acts_as_all(context):
        missing.remove(ACT_AS)
    lines = [lacking(context, *each) for each in sorted(by_role(missing).items())]
    if untested:
        names = ", ".join(sorted(untested))
        lines.append(skipped(CHECK, f"Google does not test on a project: {names}"))
    if not missing:
        lines.insert(0, ok(CHECK, f"all {len(wanted) - len(untested)} that this plan needs"))
    return lines


def test(context: Context, wanted: Iterable[str]) -> tuple[set[str], set[str]]:
    """Those of the permissions that the caller has on the project, and those that can't be asked
    about there. Raises Unreadable."""
    left, held, untested = sorted(wanted), set[str](), set[str]()
    while left:
        some = left[:AT_ONCE]
        try:
            held |= context.read("test your permissions", lambda some=some: ask(context, some))  # type: ignore[misc]
        except Unreadable as error:
            named = NOT_HERE.search(str(error))
            if not isinstance(cause_of(error), InvalidArgument) or named is None:
                raise
            if named["permission"] not in left:
                raise
            untested.add(named["permission"])
            left.remove(named["permission"])
            continue
        left = left[AT_ONCE:]
    return held, untested


def cause_of(error: BaseException) -> BaseException | None:
    """What was raised first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def ask(context: Context, wanted: list[str]) -> set[str]:
    """Those of up to a hundred permissions that the caller has on the project."""
    request = iam_policy_pb2.TestIamPermissionsRequest(
        resource=f"projects/{context.project}", permissions=wanted
    )
    return set(context.cloud.projects.test_iam_permissions(request).permissions)


def acts_as_all(context: Context) -> bool:
    """Whether the caller may use each of the service's accounts, where that is granted on them."""
    names = context.cloud.names
    for email in (names.run_account, names.build_account, names.migrate_account):
        url = f"{context.cloud.iam}/{email}:testIamPermissions"
        body: dict[str, object] = {"permissions": [ACT_AS]}
        try:
            answer = context.read(
                "test your permissions",
                lambda url=url, body=body: send(context.cloud, "POST", url, body),  # type: ignore[misc]
            )
        except Unreadable:
            return False
        if not answer.get("permissions"):
            return False
    return True


def by_role(missing: Iterable[str]) -> dict[str, list[str]]:
    """The permissions, by the role that has them."""
    found: dict[str, list[str]] = defaultdict(list)
    for permission in sorted(missing):
        found[role_of(permission)].append(permission)
    return found


def role_of(permission: str) -> str:
    """The narrowest of Google's roles that we know to have a permission."""
    fits = [prefix for prefix in ROLES if permission.startswith(prefix)]
    return ROLES[max(fits, key=len)]


def lacking(context: Context, granted: str, names: list[str]) -> Finding:
    """What is missing, and who has to say what for it to be there."""
    member = context.member or "user:YOU"
    fix = (
        f"gcloud projects add-iam-policy-binding {context.project} "
        f"--member={member} --role={granted} --condition=None\n"
        f"or, for all of them and no more: invoke doctor --role --env {context.environment.name}"
    )
    return failed(CHECK, f"missing {', '.join(names)}", fix)

"""Whether the caller may do what the plan is about to: no more is asked for than that."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable

from infra.denied import role_for
from infra.doctor import role
from infra.doctor.base import Context, Finding, Unreadable, failed, ok, skipped
from infra.resources.asks import at
from infra.rest import Request, RestError

CHECK = "permissions"
INVALID = 400
AT_ONCE = 100
"""Google tests as many in a call."""
ACT_AS = "iam.serviceAccounts.actAs"
OWNER = "roles/owner"
"""What is left to ask for, for a permission we know no narrower role of."""
NOT_HERE = re.compile(r"[Pp]ermission '?(?P<permission>[a-zA-Z]+(?:\.[a-zA-Z]+)+)'?")


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
            held |= ask(context, "cloudresourcemanager", f"v3/projects/{context.project}", some)
        except Unreadable as error:
            refused = not_here(error)
            if refused not in some:
                raise
            untested.add(refused)
            left.remove(refused)
            continue
        left = left[AT_ONCE:]
    return held, untested


def not_here(error: Unreadable) -> str:
    """The permission that Google says there is none of on what was asked about; "" for none."""
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    if not isinstance(cause, RestError) or cause.code != INVALID:
        return ""
    named = NOT_HERE.search(cause.message)
    return named["permission"] if named else ""


def ask(context: Context, api: str, resource: str, wanted: list[str]) -> set[str]:
    """Those of up to a hundred permissions that the caller has on something. Raises Unreadable."""
    body = json.dumps({"permissions": wanted})
    request = Request(api, f"{resource}:testIamPermissions", body=body)
    found = at(context.fetch("test your permissions", request), "permissions")
    return {str(each) for each in found} if isinstance(found, list) else set()


def acts_as_all(context: Context) -> bool:
    """Whether the caller may use each of the service's accounts, where that is granted on them."""
    names = context.cloud.names
    accounts = f"v1/projects/{context.project}/serviceAccounts"
    try:
        return all(
            ask(context, "iam", f"{accounts}/{email}", [ACT_AS])
            for email in (names.run_account, names.build_account, names.migrate_account)
        )
    except Unreadable:
        return False


def by_role(missing: Iterable[str]) -> dict[str, list[str]]:
    """The permissions, by the role that has them."""
    found: dict[str, list[str]] = defaultdict(list)
    for permission in sorted(missing):
        found[role_for(permission) or OWNER].append(permission)
    return found


def lacking(context: Context, granted: str, names: list[str]) -> Finding:
    """What is missing, and who has to say what for it to be there."""
    member = context.member or "user:YOU"
    fix = (
        f"gcloud projects add-iam-policy-binding {context.project} "
        f"--member={member} --role={granted} --condition=None\n"
        f"or, for all of them and no more: invoke doctor --role --env {context.environment.name}"
    )
    return failed(CHECK, f"missing {', '.join(names)}", fix)

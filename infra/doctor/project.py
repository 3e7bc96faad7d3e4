"""The project: that it is there, that it is paid for, and which APIs it has enabled."""

from infra.doctor.base import Context, Finding, Unreadable, failed, ok, skipped
from infra.resources.asks import flag, last, text
from infra.rest import Request
from infra.yaml_file import Value

ACTIVE = "ACTIVE"
SHOWN = 4


def project(context: Context) -> list[Finding]:
    """Whether the project is there, and not about to be deleted."""
    name, check = context.project, "project"
    try:
        found = get_project(context)
    except Unreadable as error:
        fix = (
            f"Correct project: in environments/{context.environment.name}.yaml, or have "
            f"roles/browser granted on it; gcloud projects list shows those you may see."
        )
        return [failed(check, f"{name} is not there, or not for you to see: {error}", fix)]
    if (state := text(found, "state")) != ACTIVE:
        return [failed(check, f"{name} is {state}", f"gcloud projects undelete {name}")]
    return [ok(check, f"{name} is active, number {last(text(found, 'name'))}")]


def get_project(context: Context) -> Value:
    """The project, as Resource Manager has it. Raises Unreadable."""
    request = Request("cloudresourcemanager", f"v3/projects/{context.project}")
    return context.fetch("read the project", request)


def billing(context: Context) -> list[Finding]:
    """Whether somebody pays: without that no API of ours can be enabled."""
    request = Request("cloudbilling", f"v1/projects/{context.project}/billingInfo")
    info = context.fetch("read the billing", request)
    if flag(info, "billingEnabled"):
        return [ok("billing", f"paid by {last(text(info, 'billingAccountName'))}")]
    fix = (
        f"gcloud billing projects link {context.project} --billing-account=ACCOUNT\n"
        "(gcloud billing accounts list shows them)"
    )
    return [failed("billing", "nobody pays for the project", fix)]


def apis(context: Context) -> list[Finding]:
    """Which APIs are not enabled: no failure, for provision enables them."""
    change = context.change("apis")
    if change is None:
        return [skipped("apis", "none are declared")]
    missing = [each.path.partition(".")[0] for each in change.differences]
    declared = len(change.resource.declared(change.live))
    if not missing:
        return [ok("apis", f"all {declared} are enabled")]
    shown = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
    count = f"{len(missing)} of {declared} are not enabled: provision does it"
    return [ok("apis", f"{count} ({shown})")]

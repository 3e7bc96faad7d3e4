"""The project: that it is there, that it is paid for, and which APIs it has enabled."""

from google.cloud import resourcemanager_v3

from infra.doctor.base import Context, Finding, Unreadable, failed, ok, skipped
from infra.resources.iam import send

ACTIVE = resourcemanager_v3.Project.State.ACTIVE
SHOWN = 4


def project(context: Context) -> list[Finding]:
    """Whether the project is there, and not about to be deleted."""
    name, check = context.project, "project"
    get = context.cloud.projects.get_project
    try:
        found = context.read("read the project", lambda: get(name=f"projects/{name}"))
    except Unreadable as error:
        fix = (
            f"Correct project: in environments/{context.environment.name}.yaml, or have "
            f"roles/browser granted on it; gcloud projects list shows those you may see."
        )
        return [failed(check, f"{name} is not there, or not for you to see: {error}", fix)]
    if found.state != ACTIVE:
        fix = f"gcloud projects undelete {name}"
        return [failed(check, f"{name} is {found.state.name}", fix)]
    return [ok(check, f"{name} is active, number {found.name.rpartition('/')[2]}")]


def billing(context: Context) -> list[Finding]:
    """Whether somebody pays: without that no API of ours can be enabled."""
    url = f"{context.cloud.url('cloudbilling')}/v1/projects/{context.project}/billingInfo"
    info = context.read("read the billing", lambda: send(context.cloud, "GET", url))
    account = str(info.get("billingAccountName", ""))
    if info.get("billingEnabled"):
        return [ok("billing", f"paid by {account.rpartition('/')[2]}")]
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

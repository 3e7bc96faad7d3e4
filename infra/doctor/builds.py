"""What builds a push: the connection to GitHub, and what Google's own agents need for it."""

from infra.doctor.base import Context, Finding, failed, ok, skipped
from infra.doctor.project import get_project
from infra.resources.asks import last, text
from infra.resources.iam import ProjectScope, granted, path
from infra.yaml_file import Value

NO_TRIGGER = "the environment declares no trigger"
BUILD = "gcp-sa-cloudbuild"
RUN = "serverless-robot-prod"
KEEPS_TOKEN = "roles/secretmanager.admin"  # noqa: S105
RUNS = "roles/run.serviceAgent"


def connection(context: Context) -> list[Finding]:
    """Whether somebody has consented at GitHub, or the link to do it."""
    change = context.change("connection")
    if change is None:
        return [skipped("connection", NO_TRIGGER)]
    name, live = change.resource.name, change.live
    if live is None:
        return [ok("connection", f"{name} is made by provision, which then shows GitHub's link")]
    if live.waiting:
        text, _, fix = live.waiting.partition(": open ")
        link = fix.partition("\n")[0]
        return [failed("connection", f"{name} is not usable yet: {text}", f"Open {link}")]
    return [ok("connection", f"{name} is installed")]


def agents(context: Context) -> list[Finding]:
    """Whether Google's agents may do what a connection and a service need of them."""
    if context.environment.trigger is None:
        return [skipped("agents", NO_TRIGGER)]
    number = last(text(get_project(context), "name"))
    scope = ProjectScope(f"projects/{context.project}", context.project)
    policy = context.fetch("read the policy", scope.request())
    if is_installed(context):
        findings = [ok("agents", "Cloud Build's keeps GitHub's token already")]
    else:
        findings = [agent(context, policy, number, BUILD, KEEPS_TOKEN, "keeps GitHub's token")]
    if context.cloud.is_emulated:
        findings.append(skipped("agents", "the emulator's Cloud Run needs no agent"))
    else:
        findings.append(agent(context, policy, number, RUN, RUNS, "runs the service"))
    return findings


def is_installed(context: Context) -> bool:
    """Whether the connection works: then what its agent may do is enough, wherever granted."""
    change = context.change("connection")
    return change is not None and change.live is not None and not change.live.waiting


def agent(  # noqa: PLR0913, PLR0917
    context: Context, policy: Value, number: str, domain: str, role: str, purpose: str
) -> Finding:
    """Whether one agent has its role on the project."""
    email = f"service-{number}@{domain}.iam.gserviceaccount.com"
    member = f"serviceAccount:{email}"
    if path((role, member)) in granted(policy):
        return ok("agents", f"{email} has {role}")
    fix = (
        f"gcloud projects add-iam-policy-binding {context.project} "
        f"--member={member} --role={role} --condition=None"
    )
    return failed("agents", f"{email}, which {purpose}, lacks {role}", fix)

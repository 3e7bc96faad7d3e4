"""A refusal in words: the permission, what it is on, and the command that grants it.

The narrowest predefined role that has the permission and that Google lets one grant on the project,
or on the account it is about. Only words: nothing is granted here.
"""

import re
from dataclasses import dataclass

PERMISSION = re.compile(r"[Pp]ermission'?:? '?([a-z][a-zA-Z]+(?:\.[a-zA-Z]+)+)'?")
PERMISSION_LAST = re.compile(
    r"\b(?!google\.)([a-z]+\.(?!googleapis)[a-zA-Z]+\.[a-zA-Z]+)\b(?![@.])"
)
ACCESS = re.compile(r"does not have ([a-z]+\.[a-zA-Z]+\.[a-zA-Z]+) access")
RESOURCE = re.compile(
    r"(?:denied on|access to|\bon)(?: the)?(?: resource)?:? '?(?://[\w.]+/)?([a-z]+/[^\s'()]+)"
)
PROJECT = re.compile(r"\bprojects/([a-z][a-z0-9-]{4,28}[a-z0-9])\b")
EMAIL = re.compile(r"[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com")

ROLES = (
    ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
    ("iam.serviceAccounts.getAccessToken", "roles/iam.serviceAccountTokenCreator"),
    ("iam.serviceAccounts", "roles/iam.serviceAccountAdmin"),
    ("resourcemanager.projects.setIamPolicy", "roles/resourcemanager.projectIamAdmin"),
    ("resourcemanager", "roles/browser"),
    ("serviceusage.services.use", "roles/serviceusage.serviceUsageConsumer"),
    ("serviceusage", "roles/serviceusage.serviceUsageAdmin"),
    ("cloudbuild.connections", "roles/cloudbuild.connectionAdmin"),
    ("cloudbuild.repositories", "roles/cloudbuild.connectionAdmin"),
    ("cloudbuild", "roles/cloudbuild.builds.editor"),
    ("artifactregistry.repositories.downloadArtifacts", "roles/artifactregistry.reader"),
    ("artifactregistry", "roles/artifactregistry.admin"),
    ("cloudsql", "roles/cloudsql.admin"),
    ("logging", "roles/logging.viewer"),
    ("monitoring.alertPolicies", "roles/monitoring.alertPolicyEditor"),
    ("monitoring.dashboards", "roles/monitoring.dashboardEditor"),
    ("run", "roles/run.admin"),
    ("secretmanager.versions.access", "roles/secretmanager.secretAccessor"),
    ("secretmanager", "roles/secretmanager.admin"),
    ("storage", "roles/storage.admin"),
)
"""The role to ask for, by the beginning of a permission; the first that matches."""
ON_ACCOUNT = {"iam.serviceAccounts.actAs", "iam.serviceAccounts.getAccessToken"}
SOMEBODY = "user:$(gcloud config get account)"


@dataclass(frozen=True)
class Refusal:
    """What was refused."""

    permission: str
    """"" when Google does not say."""
    resource: str
    project: str


def refusal(said: str, project: str = "") -> Refusal:
    """What a refusal is about; `project` is the one to think of when it names none."""
    named = ACCESS.search(said) or PERMISSION.search(said) or PERMISSION_LAST.search(said)
    found = PROJECT.search(said)
    resource = RESOURCE.search(said)
    return Refusal(
        named[1].rstrip(".") if named else "",
        resource[1].rstrip(".,") if resource else "",
        found[1] if found else project,
    )


def fix(said: str, who: str = "", project: str = "") -> str:
    """What to do about a refusal. `who`: the caller as a member of policies, "" for unknown."""
    about = refusal(said, project)
    if not about.permission:
        return "Whoever you are logged in as needs a role that allows it; see `gcloud auth list`."
    on = f" on {about.resource}" if about.resource else ""
    name = who.partition(":")[2] or "Whoever you are logged in as"
    needs = f"{name} needs the permission {about.permission}{on}"
    role = role_for(about.permission)
    if role is None or not about.project:
        return f"{needs}."
    return f"{needs}. Somebody who may grant it runs\n    {command(about, role, who, said)}"


def role_for(permission: str) -> str | None:
    """The predefined role that has a permission, None for one we do not know."""
    parts = permission.split(".")
    for begin, role in ROLES:
        wanted = begin.split(".")
        if parts[: len(wanted)] == wanted:
            return role
    return None


def command(about: Refusal, role: str, who: str, said: str) -> str:
    """The command that grants a role, on the account it is about or else on the project."""
    member = f"'{who}'" if who else f'"{SOMEBODY}"'
    account = EMAIL.search(said)
    if about.permission in ON_ACCOUNT and account:
        grant = f"gcloud iam service-accounts add-iam-policy-binding {account[0]}"
        return f"{grant} --project={about.project} --member={member} --role={role}"
    grant = f"gcloud projects add-iam-policy-binding {about.project}"
    return f"{grant} --member={member} --role={role} --condition=None"

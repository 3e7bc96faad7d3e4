"""Cloud Billing v1: whether a project is paid for, and by which account. Nothing costs here."""

from infra.emulator import errors, projects
from infra.emulator.api import Api, Call
from infra.emulator.world import Document, World

ACCOUNT = "billingAccounts/0E0E0E-0E0E0E-0E0E0E"
_KIND = "project_billing"
_NAME = "google.cloud.billing.v1.CloudBilling"
_INFO = "/v1/projects/{project}/billingInfo"

api = Api("cloudbilling", prefix="/cloudbilling", enabled=True)


@api.route("GET", _INFO, name=f"{_NAME}.GetProjectBillingInfo")
def get_project_billing_info(call: Call) -> Document:
    """Which account pays: from the first an account of the emulator's own."""
    project = projects.find(call.world, call.params["project"])
    call.require("resourcemanager.projects.get", project.name)
    return _info(call.world, project.id)


@api.route("PUT", _INFO, name=f"{_NAME}.UpdateProjectBillingInfo", body="*")
def update_project_billing_info(call: Call) -> Document:
    """Has another account pay, or none."""
    project = projects.find(call.world, call.params["project"])
    call.require("resourcemanager.projects.createBillingAssignment", project.name)
    account = call.request.get("billingAccountName", "")
    if account and not str(account).startswith("billingAccounts/"):
        raise errors.invalid(f"Invalid billing account '{account}'.", "billing_account_name")
    call.world.put(_KIND, project.id, {"account": account})
    return _info(call.world, project.id)


def _info(world: World, project: str) -> Document:
    account = (world.get(_KIND, project) or {"account": ACCOUNT})["account"]
    return {
        "name": f"projects/{project}/billingInfo",
        "projectId": project,
        "billingAccountName": account,
        "billingEnabled": bool(account),
    }

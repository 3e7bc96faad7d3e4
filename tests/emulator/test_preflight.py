"""What is read before anything is made: billing, regions and quotas; and acting as an account."""

from google.auth import impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator


def test_a_project_is_paid_for_until_it_is_not(emulator: Emulator, bare_project: str) -> None:
    url = f"/cloudbilling/v1/projects/{bare_project}/billingInfo"
    http = emulator.http()
    first = http.get(url).json()
    assert first["billingEnabled"]
    assert first["billingAccountName"].startswith("billingAccounts/")
    http.put(url, json={"billingAccountName": ""}).raise_for_status()
    assert not http.get(url).json()["billingEnabled"]
    assert http.put(url, json={"billingAccountName": "mine"}).status_code == 400


def test_billing_is_not_for_everybody_to_see(emulator: Emulator, project: str) -> None:
    email = create_account(emulator, project, "reader")
    answer = emulator.http(email).get(f"/cloudbilling/v1/projects/{project}/billingInfo")
    assert answer.status_code == 403
    assert "resourcemanager.projects.get" in answer.text


def test_the_regions_and_their_quota_are_told(emulator: Emulator, project: str) -> None:
    http = emulator.http()
    locations = http.get(f"/run/v1/projects/{project}/locations").json()["locations"]
    regions = {one["locationId"] for one in locations}
    assert {"europe-west1", "us-central1"} <= regions
    quotas = f"/cloudquotas/v1/projects/{project}/locations/global/services/run.googleapis.com"
    found = http.get(f"{quotas}/quotaInfos/CpuAllocPerProjectRegion").json()
    assert {one["dimensions"]["region"] for one in found["dimensionsInfos"]} == regions
    assert http.get(f"{quotas}/quotaInfos/Other").status_code == 501


def test_what_is_not_enabled_tells_no_regions(emulator: Emulator, bare_project: str) -> None:
    answer = emulator.http().get(f"/run/v1/projects/{bare_project}/locations")
    assert answer.status_code == 403
    assert "SERVICE_DISABLED" in answer.text


def test_googles_own_client_acts_as_an_account(emulator: Emulator, project: str) -> None:
    email = create_account(emulator, project, "reader")
    url = f"http://{emulator.host}/iamcredentials/v1/projects/-/serviceAccounts/{email}"
    credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=Credentials("owner"),  # type: ignore[no-untyped-call]
        target_principal=email,
        target_scopes=["https://www.googleapis.com/auth/cloud-platform"],
        iam_endpoint_override=f"{url}:generateAccessToken",
    )
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    assert credentials.token == f"emulated:{email}"

"""Cloud Monitoring: dashboards through Google's own client; alerts by their JSON, for theirs speaks
gRPC only."""

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import monitoring_dashboard_v1 as md

from infra.rest import Json
from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

CHART = {
    "title": "Up",
    "xy_chart": {"data_sets": [{"time_series_query": {"prometheus_query": "up"}}]},
}
TILE = {"width": 4, "height": 4, "widget": CHART}
LAYOUT = {"columns": 12, "tiles": [TILE]}
CONDITION: Json = {
    "displayName": "down",
    "conditionPrometheusQueryLanguage": {"query": "up == 0", "evaluationInterval": "60s"},
}
POLICY: Json = {"displayName": "orders", "combiner": "OR", "conditions": [CONDITION]}


@pytest.fixture
def dashboards(emulator: Emulator) -> md.DashboardsServiceClient:
    return md.DashboardsServiceClient(**emulator.arguments("monitoring"))


@pytest.fixture
def alerts(emulator: Emulator, project: str) -> httpx.Client:
    """A caller of the alerts' API in the test's project."""
    client = emulator.http()
    client.base_url = client.base_url.join(f"/monitoring/v3/projects/{project}/")
    return client


def dashboard(project: str, **fields: object) -> md.Dashboard:
    given = {"name": f"projects/{project}/dashboards/orders", "display_name": "Orders"}
    return md.Dashboard({**given, "mosaic_layout": LAYOUT, **fields})


def test_the_life_of_a_dashboard(dashboards: md.DashboardsServiceClient, project: str) -> None:
    made = dashboards.create_dashboard(
        request={"parent": f"projects/{project}", "dashboard": dashboard(project)}
    )
    # Google answers with the project's number, and fills in the axis.
    assert made.name.endswith("/dashboards/orders")
    assert made.name.split("/")[1].isdigit()
    (tile,) = made.mosaic_layout.tiles
    assert tile.widget.xy_chart.data_sets[0].target_axis == md.XyChart.DataSet.TargetAxis.Y1
    assert dashboards.get_dashboard(name=f"projects/{project}/dashboards/orders") == made
    assert list(dashboards.list_dashboards(parent=f"projects/{project}")) == [made]
    with pytest.raises(exceptions.Conflict, match="already exists"):
        dashboards.create_dashboard(
            request={"parent": f"projects/{project}", "dashboard": dashboard(project)}
        )
    changed = dashboards.update_dashboard(
        request={"dashboard": dashboard(project, display_name="Ours", etag=made.etag)}
    )
    assert changed.display_name == "Ours"
    assert changed.etag != made.etag
    with pytest.raises(exceptions.Conflict, match="etag"):
        dashboards.update_dashboard(
            request={"dashboard": dashboard(project, display_name="Late", etag=made.etag)}
        )
    dashboards.delete_dashboard(name=changed.name)
    with pytest.raises(exceptions.NotFound):
        dashboards.get_dashboard(name=changed.name)
    with pytest.raises(exceptions.NotFound):
        dashboards.delete_dashboard(name=changed.name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"display_name": ""}, "displayName"),
        ({"name": "dashboards/orders"}, "name"),
        ({"mosaic_layout": None}, "layout"),
        ({"mosaic_layout": {"columns": 60, "tiles": [TILE]}}, "columns"),
        ({"mosaic_layout": {"columns": 3, "tiles": [TILE]}}, "within the columns"),
        ({"mosaic_layout": {"columns": 12, "tiles": [TILE, TILE]}}, "overlap"),
        (
            {"grid_layout": {"widgets": [{"xy_chart": {"data_sets": [{}]}}]}},
            "time series query",
        ),
    ],
)
def test_a_wrong_dashboard_is_refused(
    dashboards: md.DashboardsServiceClient, project: str, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        dashboards.create_dashboard(
            request={"parent": f"projects/{project}", "dashboard": dashboard(project, **fields)}
        )


def test_a_dashboard_that_is_only_checked_is_not_kept(
    dashboards: md.DashboardsServiceClient, project: str
) -> None:
    parent = f"projects/{project}"
    dashboards.create_dashboard(
        request={"parent": parent, "dashboard": dashboard(project), "validate_only": True}
    )
    assert list(dashboards.list_dashboards(parent=parent)) == []


def test_the_life_of_an_alert_policy(alerts: httpx.Client, project: str) -> None:
    made = alerts.post("alertPolicies", json=POLICY).raise_for_status().json()
    # Its name, and its conditions', are Google's.
    assert made["name"].startswith(f"projects/{project}/alertPolicies/")
    assert made["conditions"][0]["name"].startswith(f"{made['name']}/conditions/")
    assert made["enabled"] is True
    assert made["creationRecord"]["mutateTime"]
    one = f"alertPolicies/{made['name'].rpartition('/')[2]}"
    assert alerts.get(one).json() == made
    again = alerts.post("alertPolicies", json=POLICY).raise_for_status().json()
    assert again["name"] != made["name"], "the same display name is no conflict"
    listed = alerts.get("alertPolicies", params={"pageSize": 1}).json()
    rest = alerts.get("alertPolicies", params={"pageToken": listed["nextPageToken"]}).json()
    found = [each["name"] for each in (*listed["alertPolicies"], *rest["alertPolicies"])]
    assert sorted(found) == sorted([made["name"], again["name"]])
    changed = alerts.patch(
        one, params={"updateMask": "enabled"}, json={"enabled": False, "displayName": "x"}
    ).json()
    assert (changed["enabled"], changed["displayName"]) == (False, "orders")
    assert changed["conditions"] == made["conditions"]
    assert alerts.delete(one).json() == {}
    assert alerts.delete(one).status_code == 404
    assert alerts.get(one).status_code == 404
    assert alerts.patch(one, json=POLICY).status_code == 404


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"displayName": ""}, "display_name"),
        ({"combiner": "COMBINE_UNSPECIFIED"}, "combiner"),
        ({"conditions": []}, "conditions"),
        ({"conditions": [{"displayName": "nothing"}]}, "condition"),
        ({"conditions": [{"conditionPrometheusQueryLanguage": {"query": "sum(up"}}]}, "PromQL"),
        (
            {
                "conditions": [
                    {
                        "conditionPrometheusQueryLanguage": {
                            "query": "up",
                            "evaluationInterval": "7s",
                        }
                    }
                ]
            },
            "30 seconds",
        ),
        ({"userLabels": {"Team": "x"}}, "label"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_alert_policy_is_refused(alerts: httpx.Client, changed: Json, message: str) -> None:
    answer = alerts.post("alertPolicies", json={**POLICY, **changed})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_an_alert_tells_channels_that_there_are(alerts: httpx.Client, project: str) -> None:
    email = {"type": "email", "labels": {"email_address": "team@acme.com"}}
    channel = alerts.post("notificationChannels", json=email).raise_for_status().json()["name"]
    (listed,) = alerts.get("notificationChannels").json()["notificationChannels"]
    assert listed["name"] == channel
    unknown = f"projects/{project}/notificationChannels/1"
    refused = alerts.post("alertPolicies", json={**POLICY, "notificationChannels": [unknown]})
    assert refused.status_code == 404
    made = alerts.post("alertPolicies", json={**POLICY, "notificationChannels": [channel]})
    assert made.raise_for_status().json()["notificationChannels"] == [channel]
    one = f"notificationChannels/{channel.rpartition('/')[2]}"
    assert "is used by" in alerts.delete(one).json()["error"]["message"]
    assert alerts.delete(one, params={"force": "true"}).json() == {}
    left = alerts.get(f"alertPolicies/{made.json()['name'].rpartition('/')[2]}").json()
    assert "notificationChannels" not in left
    assert alerts.delete(one).status_code == 404
    for wrong in ({"type": "pigeon"}, {"type": "email"}):
        assert alerts.post("notificationChannels", json=wrong).status_code == 400


def test_permissions_are_enforced(emulator: Emulator, project: str) -> None:
    account = create_account(emulator, project, "nobody-much")
    client = md.DashboardsServiceClient(**emulator.arguments("monitoring", account))
    with pytest.raises(exceptions.Forbidden, match=r"monitoring\.dashboards\.create"):
        client.create_dashboard(
            request={"parent": f"projects/{project}", "dashboard": dashboard(project)}
        )
    with pytest.raises(exceptions.Forbidden, match=r"monitoring\.dashboards\.update"):
        client.update_dashboard(request={"dashboard": dashboard(project)})
    policies = f"/monitoring/v3/projects/{project}/alertPolicies"
    answer = emulator.http(account).post(policies, json=POLICY)
    assert answer.status_code == 403
    assert "monitoring.alertPolicies.create" in answer.json()["error"]["message"]


def test_an_api_that_is_not_enabled_is_said(emulator: Emulator, bare_project: str) -> None:
    answer = emulator.http().get(f"/monitoring/v3/projects/{bare_project}/alertPolicies")
    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["reason"] == "SERVICE_DISABLED"

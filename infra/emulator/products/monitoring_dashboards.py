"""Cloud Monitoring's dashboards, v1: kept and checked; nothing is drawn."""

import re
import secrets

from google.cloud import monitoring_dashboard_v1 as md

from infra.emulator import errors, iam, messages, pages, projects
from infra.emulator.api import Api, Call
from infra.emulator.world import World

KIND = "dashboards"

_PACKAGE = "google.cloud.monitoring_dashboard_v1"
_SERVICE = "DashboardsService"
_NAME = re.compile(r"projects/(?P<project>[^/]+)/dashboards/(?P<id>[A-Za-z0-9_-]+)")
_COLUMNS = 48

api = Api("monitoring", prefix="/monitoring")


@api.method(_PACKAGE, _SERVICE, "CreateDashboard", permission="monitoring.dashboards.create")
def create_dashboard(call: Call[md.CreateDashboardRequest]) -> md.Dashboard:
    """A new dashboard, by the name that it is given, or by one of ours."""
    request = call.request
    given = md.Dashboard(messages.to_pb(request.dashboard))
    project = request.parent.removeprefix("projects/")
    name = f"{request.parent}/dashboards/{secrets.token_hex(16)}"
    if given.name:
        found = _NAME.fullmatch(given.name)
        if found is None or projects.find(call.world, found["project"]).id != project:
            raise errors.invalid(f"Invalid dashboard name '{given.name}'.", "dashboard.name")
        name = f"{request.parent}/dashboards/{found['id']}"
    _check(given)
    if request.validate_only:
        return given
    with call.world.transaction():
        if call.world.get(KIND, name) is not None:
            raise errors.already_exists(f"Dashboard {name} already exists.")
        return _keep(call.world, name, given)


@api.method(_PACKAGE, _SERVICE, "GetDashboard", permission="monitoring.dashboards.get")
def get_dashboard(call: Call[md.GetDashboardRequest]) -> md.Dashboard:
    """One dashboard."""
    return _dashboard(call.world, call.request.name)


@api.method(_PACKAGE, _SERVICE, "ListDashboards", permission="monitoring.dashboards.list")
def list_dashboards(call: Call[md.ListDashboardsRequest]) -> md.ListDashboardsResponse:
    """A project's dashboards."""
    prefix = f"{call.request.parent}/dashboards/"
    found = [messages.from_json(md.Dashboard, body) for body in call.world.list(KIND, prefix)]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return md.ListDashboardsResponse(dashboards=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "UpdateDashboard")
def update_dashboard(call: Call[md.UpdateDashboardRequest]) -> md.Dashboard:
    """Replaces a dashboard whole, if its etag is still the one that is sent."""
    given = md.Dashboard(messages.to_pb(call.request.dashboard))
    name = call.params["dashboard.name"]
    call.require("monitoring.dashboards.update", name)
    with call.world.transaction():
        there = _dashboard(call.world, name)
        if given.etag and given.etag != there.etag:
            raise errors.aborted(f"The etag of dashboard {name} is not the current one.")
        _check(given)
        return given if call.request.validate_only else _keep(call.world, name, given)


@api.method(_PACKAGE, _SERVICE, "DeleteDashboard", permission="monitoring.dashboards.delete")
def delete_dashboard(call: Call[md.DeleteDashboardRequest]) -> None:
    """Deletes a dashboard."""
    if not call.world.delete(KIND, call.request.name):
        raise errors.not_found("Requested entity was not found.")


def _dashboard(world: World, name: str) -> md.Dashboard:
    body = world.get(KIND, name)
    if body is None:
        raise errors.not_found("Requested entity was not found.")
    return messages.from_json(md.Dashboard, body)


def _keep(world: World, name: str, dashboard: md.Dashboard) -> md.Dashboard:
    """Keeps it, with what Google fills in: a chart's axis, and the project by its number."""
    number = projects.find(world, iam.project_of(name)).number
    dashboard.name = f"projects/{number}/dashboards/{name.rpartition('/')[2]}"
    dashboard.etag = pages.etag().strip('"')
    for widget in _widgets(dashboard):
        for data in widget.xy_chart.data_sets:
            if not data.target_axis:
                messages.to_pb(data).target_axis = md.XyChart.DataSet.TargetAxis.Y1
    world.put(KIND, name, messages.dump(dashboard))
    return dashboard


def _widgets(dashboard: md.Dashboard) -> list[md.Widget]:
    return [
        *(tile.widget for tile in dashboard.mosaic_layout.tiles),
        *dashboard.grid_layout.widgets,
    ]


def _check(dashboard: md.Dashboard) -> None:
    if not dashboard.display_name:
        raise errors.invalid("Field displayName is required.", "dashboard.display_name")
    if messages.to_pb(dashboard).WhichOneof("layout") is None:
        raise errors.invalid("A dashboard needs a layout.", "dashboard.layout")
    layout = dashboard.mosaic_layout
    if layout.tiles and not 1 <= layout.columns <= _COLUMNS:
        raise errors.invalid(f"There must be 1 to {_COLUMNS} columns.", "mosaic_layout.columns")
    for index, tile in enumerate(layout.tiles):
        field = f"dashboard.mosaic_layout.tiles[{index}]"
        if tile.width < 1 or tile.height < 1 or tile.x_pos + tile.width > layout.columns:
            raise errors.invalid("A tile must have a size and lie within the columns.", field)
        for other in layout.tiles[:index]:
            if _overlap(tile, other):
                raise errors.invalid("Tiles must not overlap.", field)
    for widget in _widgets(dashboard):
        for data in widget.xy_chart.data_sets:
            if messages.to_pb(data.time_series_query).WhichOneof("source") is None:
                raise errors.invalid("A time series query is required.", "time_series_query")


def _overlap(one: md.MosaicLayout.Tile, other: md.MosaicLayout.Tile) -> bool:
    apart_x = one.x_pos + one.width <= other.x_pos or other.x_pos + other.width <= one.x_pos
    apart_y = one.y_pos + one.height <= other.y_pos or other.y_pos + other.height <= one.y_pos
    return not apart_x and not apart_y

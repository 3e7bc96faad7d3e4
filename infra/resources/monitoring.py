"""Cloud Monitoring: the service's dashboard, and the alerts on its errors and its latency.

Google has a REST client for dashboards and none for alert policies; what both are made of is JSON
that the console shows too, so both are sent as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, override

from infra.cloud import Cloud
from infra.environment import Monitoring
from infra.resources import shape
from infra.resources.asks import Ask, fields, listed, text, texts
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.charts import COLUMNS, charts, tiles
from infra.resources.iam import send
from infra.resources.signals import Signals
from infra.rest import Json, Request
from infra.yaml_file import Value


@dataclass(frozen=True)
class Dashboard(Resource):
    """The dashboard. Charts that somebody adds by hand stay, below or beside ours."""

    kind: ClassVar[str] = "dashboard"
    tags: ClassVar[tuple[str, ...]] = ("monitoring",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("monitoring.dashboards.get",),
        "create": ("monitoring.dashboards.create",),
        "update": ("monitoring.dashboards.get", "monitoring.dashboards.update"),
        "delete": ("monitoring.dashboards.delete",),
    }

    declaration: Monitoring

    @property
    @override
    def name(self) -> str:
        return self.names.name

    @property
    def tiles(self) -> dict[str, Json]:
        """Our charts with their places, by their titles."""
        declared = self.declaration
        shown = charts(Signals(self.names), declared.error_ratio, declared.latency_ms)
        return tiles(shown)

    @override
    def asks(self) -> Mapping[str, Ask]:
        # By itself: a list has every chart of everybody's.
        request = Request("monitoring", f"v1/{self.names.dashboard}")
        return {"dashboard": Ask("the dashboard", request)}

    @override
    def observe(self, found: Found) -> Live | None:
        dashboard = found.get("dashboard")
        if dashboard is None:
            return None
        labels = texts(dashboard, "labels")
        there = by_title(dashboard)
        return Live(
            {
                "displayName": text(dashboard, "displayName"),
                "columns": fields(dashboard, "mosaicLayout").get("columns"),
                "charts": {
                    title: projected(tile, there.get(title)) for title, tile in self.tiles.items()
                },
                **labels_live(labels),
            },
            labels=labels,
        )

    @override
    def declared(self, live: Live | None) -> Fields:
        return {
            "displayName": display_name(self),
            "columns": COLUMNS,
            "charts": {**self.tiles},
            **labels_declared(self.names),
        }

    @override
    def differences(self, live: Live) -> list[Difference]:
        return shape.differences(self.declared(live), {**live.fields})

    @override
    def made(self) -> list[Difference]:
        declared: Fields = {**self.declared(None), "charts": [*self.tiles]}
        return [Difference(path, None, value) for path, value in declared.items()]

    @override
    def create(self, work: Work) -> None:
        url = f"{work.cloud.url('monitoring')}/v1/projects/{self.names.project}/dashboards"
        body: Json = {"name": self.names.dashboard, **self.shaped(None)}
        work.call("create", lambda: send(work.cloud, "POST", url, body))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        there = work.ask(self.asks()["dashboard"])
        # With the etag: what somebody changes meanwhile is not lost.
        body: Json = {**self.shaped(there), "etag": text(there, "etag")}
        work.call("update", lambda: send(work.cloud, "PATCH", self.url(work.cloud), body))

    @override
    def delete(self, work: Work) -> None:
        work.call("delete", lambda: send(work.cloud, "DELETE", self.url(work.cloud)))

    def url(self, cloud: Cloud) -> str:
        """Where it is."""
        return f"{cloud.url('monitoring')}/v1/{self.names.dashboard}"

    def shaped(self, there: Value) -> Json:
        """It as we declare it, with what others have added to the one that is there."""
        ours = self.tiles
        others = [each for title, each in by_title(there).items() if title not in ours]
        return {
            "displayName": display_name(self),
            "labels": {**texts(there, "labels"), **self.names.labels},
            "mosaicLayout": {"columns": COLUMNS, "tiles": [*ours.values(), *others]},
        }


def display_name(resource: Resource) -> str:
    """What the console calls it."""
    return f"{resource.names.name} {resource.names.environment.name}"


def by_title(dashboard: Value) -> dict[str, Json]:
    """A dashboard's tiles by their titles; those without one by their places."""
    found = listed(dashboard, "mosaicLayout", "tiles")
    return {
        text(tile, "widget", "title") or f"untitled {index}": tile
        for index, tile in enumerate(found)
    }


def projected(declared: Value, live: Value) -> Value:
    """What is there, without what we do not declare: Google fills in an axis, for example."""
    if isinstance(declared, dict) and isinstance(live, dict):
        return {key: projected(each, live[key]) for key, each in declared.items() if key in live}
    if isinstance(declared, list) and isinstance(live, list) and len(declared) == len(live):
        return [projected(*pair) for pair in zip(declared, live, strict=True)]
    return live

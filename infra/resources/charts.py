"""The dashboard's charts, in Google's JSON (Cloud Monitoring, "Dashboards API: Widget").

From what callers see to what could be its cause: requests, routes, the process, the instances, the
database. Zeros and defaults are left out, as Google does.
"""

from dataclasses import dataclass

from infra.resources.signals import Signals
from infra.rest import Json
from infra.yaml_file import Value

COLUMNS = 12
WIDTH = 4
HEIGHT = 4
PER_ROW = COLUMNS // WIDTH


@dataclass(frozen=True)
class Chart:
    """One chart: its lines, each with its legend, and where a threshold is drawn."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = ""
    threshold: float | None = None
    stacked: bool = False

    def widget(self) -> Json:
        """It as Google's Widget."""
        chart: Json = {"dataSets": [self.line(*each) for each in self.lines]}
        if self.unit:
            chart["yAxis"] = {"label": self.unit, "scale": "LINEAR"}
        if self.threshold is not None:
            chart["thresholds"] = [{"label": "alert", "value": self.threshold}]
        return {"title": self.title, "xyChart": chart}

    def line(self, legend: str, query: str) -> Value:
        """One line, or with labels several."""
        line: Json = {
            "plotType": "STACKED_AREA" if self.stacked else "LINE",
            "timeSeriesQuery": {"prometheusQuery": query},
        }
        if legend:
            line["legendTemplate"] = legend
        return line


def charts(signals: Signals, error_ratio: float, latency_ms: int) -> list[Chart]:
    """All charts, three a row."""
    return [
        Chart("Requests", (("", signals.requests),), "a second", stacked=True),
        Chart("Error ratio", (("5xx", signals.error_ratio),), "", error_ratio),
        Chart(
            "Latency",
            tuple((f"p{part:g}", signals.latency(part / 100)) for part in (50, 95, 99)),
            "ms",
            latency_ms,
        ),
        Chart("Requests by route", (("", signals.requests_by_route),), "a second"),
        Chart("Errors by route", (("", signals.errors_by_route),), "a second"),
        Chart("p99 by route", (("", signals.latency_by_route),), "s"),
        Chart(
            "Connection pool",
            (("", signals.pool), ("max", signals.pool_limit)),
            "connections",
        ),
        Chart("Waiting for a connection", (("waiting", signals.pool_waits),), "requests"),
        Chart("Event loop lag", (("the worst instance", signals.loop_lag),), "s"),
        Chart("Instances", (("", signals.instances),), "instances", stacked=True),
        Chart("CPU", (("p99 of the instances", signals.used("cpu")),), "of 1"),
        Chart("Memory", (("p99 of the instances", signals.used("memory")),), "of 1"),
        Chart("Cloud SQL connections", (("", signals.sql_connections),), "connections"),
        Chart("Cloud SQL CPU", (("CPU", signals.sql_used("cpu")),), "of 1"),
        Chart(
            "Cloud SQL memory and disk",
            (("memory", signals.sql_used("memory")), ("disk", signals.sql_used("disk"))),
            "of 1",
        ),
    ]


def tiles(shown: list[Chart]) -> dict[str, Json]:
    """The charts by their titles, each with its place."""
    found: dict[str, Json] = {}
    for index, chart in enumerate(shown):
        row, column = divmod(index, PER_ROW)
        tile: Json = {"width": WIDTH, "height": HEIGHT, "widget": chart.widget()}
        if column:
            tile["xPos"] = column * WIDTH
        if row:
            tile["yPos"] = row * HEIGHT
        found[chart.title] = tile
    return found

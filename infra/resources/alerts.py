"""Cloud Monitoring's alert policies: too many errors, and answers that take too long.

Google gives a policy its name, so ours are known by their labels, in a list that is read whole.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, override

from infra.environment import Monitoring
from infra.names import Names
from infra.resources.asks import Ask, at, fields, last, listed, text, texts
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
    owned,
)
from infra.resources.iam import send
from infra.resources.runbooks import errors, slowness
from infra.resources.signals import Signals
from infra.rest import Json, Request
from infra.yaml_file import Value

ALERT = "alert"
"""The label that tells a service's policies apart."""
EVERY = "60s"
"""How often the query is asked, and for how long it has to be true."""
CLOSED_AFTER = "1800s"
"""How long an incident stays open that no data come for any more."""
PAGE = "1000"
CONDITION = "conditionPrometheusQueryLanguage"
THRESHOLD = re.compile(r"(?<= > )[0-9.]+")
CHANNELS = "notificationChannels"
MARKDOWN = "text/markdown"


@dataclass(frozen=True)
class Alert:
    """What an alert is about."""

    name: str
    title: str
    severity: str
    query: str
    runbook: str
    """What to do, for whoever is woken by it."""


def alerts(names: Names, declaration: Monitoring) -> list[Alert]:
    """The two alerts of a service."""
    signals = Signals(names)
    ratio, limit = declaration.error_ratio, declaration.latency_ms
    return [
        Alert("errors", "error ratio", "ERROR", signals.too_many_errors(ratio), errors(names)),
        Alert("latency", "latency", "WARNING", signals.too_slow(limit), slowness(names)),
    ]


@dataclass(frozen=True)
class AlertPolicy(Resource):
    """An alert, and whom it tells. Channels are compared where the environment names some: with
    none, those that somebody adds by hand stay."""

    kind: ClassVar[str] = "alert policy"
    tags: ClassVar[tuple[str, ...]] = ("monitoring",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("monitoring.alertPolicies.list",),
        "create": ("monitoring.alertPolicies.create",),
        "update": ("monitoring.alertPolicies.list", "monitoring.alertPolicies.update"),
        "delete": ("monitoring.alertPolicies.delete", "monitoring.alertPolicies.list"),
    }

    declaration: Monitoring
    alert: Alert

    @property
    @override
    def name(self) -> str:
        return f"{self.names.name}-{self.alert.name}"

    @override
    def asks(self) -> Mapping[str, Ask]:
        parent = f"v3/projects/{self.names.project}/alertPolicies"
        request = Request("monitoring", parent, (("pageSize", PAGE),), "alertPolicies")
        return {"policies": Ask("the alert policies", request, pick=self.pick)}

    def pick(self, policies: list[Json]) -> Value:
        """Those of ours, the oldest first: there is one, but for an answer that was lost."""
        ours = [each for each in policies if self.has_mark(texts(each, "userLabels"))]
        return [*sorted(ours, key=lambda each: text(each, "creationRecord", "mutateTime"))]

    def has_mark(self, labels: Mapping[str, str]) -> bool:
        """Whether labels say that it is this one."""
        return owned(labels, self.names) and labels.get(ALERT) == self.alert.name

    @override
    def observe(self, found: Found) -> Live | None:
        ours = listed(found.get("policies"))
        if not ours:
            return None
        policy, labels = ours[0], texts(ours[0], "userLabels")
        conditions = listed(policy, "conditions")
        asked = fields(conditions[0], CONDITION) if conditions else {}
        query = text(asked, "query")
        return Live(
            {
                "displayName": text(policy, "displayName"),
                "enabled": at(policy, "enabled") is not False,
                "severity": text(policy, "severity"),
                "conditions": len(conditions),
                "threshold": threshold(query),
                "query": without_threshold(query),
                "duration": text(asked, "duration"),
                "evaluationInterval": text(asked, "evaluationInterval"),
                "autoClose": text(policy, "alertStrategy", "autoClose"),
                "documentation": text(policy, "documentation", "content"),
                CHANNELS: numbers(named(policy)),
                **labels_live(labels),
            },
            labels=labels,
        )

    @override
    def declared(self, live: Live | None) -> Fields:
        query = self.alert.query
        channels: Fields = {CHANNELS: numbers(self.channels)} if self.channels else {}
        return {
            "displayName": self.title,
            "enabled": True,
            "severity": self.alert.severity,
            "conditions": 1,
            "threshold": threshold(query),
            "query": without_threshold(query),
            "duration": EVERY,
            "evaluationInterval": EVERY,
            "autoClose": CLOSED_AFTER,
            "documentation": self.alert.runbook,
            **channels,
            **labels_declared(self.names),
            f"labels.{ALERT}": self.alert.name,
        }

    @property
    def title(self) -> str:
        """What whoever is told reads first."""
        return f"{self.names.name} {self.names.environment.name}: {self.alert.title}"

    @property
    def channels(self) -> list[str]:
        """Whom it tells, in full."""
        parent = f"projects/{self.names.project}/notificationChannels"
        return [each if "/" in each else f"{parent}/{each}" for each in self.declaration.notify]

    @override
    def create(self, work: Work) -> None:
        url = f"{work.cloud.url('monitoring')}/v3/projects/{self.names.project}/alertPolicies"
        body = self.shaped({})
        work.call("create", lambda: send(work.cloud, "POST", url, body))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        there = listed(work.ask(self.asks()["policies"]))
        if not there:
            return
        body = self.shaped(texts(there[0], "userLabels"))
        url = f"{work.cloud.url('monitoring')}/v3/{text(there[0], 'name')}"
        masked = f"{url}?updateMask={','.join(body)}"
        work.call("update", lambda: send(work.cloud, "PATCH", masked, body))

    @override
    def delete(self, work: Work) -> None:
        for each in listed(work.ask(self.asks()["policies"])):
            url = f"{work.cloud.url('monitoring')}/v3/{text(each, 'name')}"
            work.call("delete", partial(send, work.cloud, "DELETE", url))

    def shaped(self, labels: Mapping[str, str]) -> Json:
        """It as we declare it."""
        alert = self.alert
        asked: Json = {
            "query": alert.query,
            "duration": EVERY,
            "evaluationInterval": EVERY,
            # A service that nobody has called has no requests yet.
            "disableMetricValidation": True,
        }
        body: Json = {
            "displayName": self.title,
            "documentation": {"content": alert.runbook, "mimeType": MARKDOWN},
            "userLabels": {**labels, **self.names.labels, ALERT: alert.name},
            "conditions": [{"displayName": alert.title, CONDITION: asked}],
            "combiner": "OR",
            "enabled": True,
            "severity": alert.severity,
            "alertStrategy": {"autoClose": CLOSED_AFTER},
        }
        return {**body, CHANNELS: [*self.channels]} if self.channels else body


def threshold(query: str) -> Value:
    """The number that a query compares with, None where it compares with none."""
    found = THRESHOLD.search(query)
    if not found:
        return None
    number = float(found[0])
    return int(number) if number.is_integer() else number


def without_threshold(query: str) -> str:
    """A query with the number that it compares with left open."""
    return THRESHOLD.sub("…", query, count=1)


def named(policy: Value) -> list[str]:
    """The names of the channels that a policy tells."""
    found = at(policy, CHANNELS)
    return [str(each) for each in found] if isinstance(found, list) else []


def numbers(channels: Iterable[str]) -> Value:
    """The numbers of channels: a project may be in their names by its own."""
    return [*sorted(map(last, channels))]

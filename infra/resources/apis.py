"""The APIs a service needs, enabled in its project. They are the project's, and stay."""

# ruff: noqa: PLC0415

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, override

from infra.resources.asks import Ask, last, listed, text
from infra.resources.base import Difference, Fields, Found, Live, Resource, Work
from infra.rest import Request

APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudresourcemanager",
    "cloudtrace",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "run",
    "secretmanager",
    "sqladmin",
    "storage",
    "telemetry",
)
BATCH = 20
ENABLED = "ENABLED"


@dataclass(frozen=True)
class Apis(Resource):
    """All the APIs, in a call."""

    kind: ClassVar[str] = "apis"
    tags: ClassVar[tuple[str, ...]] = ("apis",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("serviceusage.services.get",),
        "create": ("serviceusage.services.enable", "serviceusage.operations.get"),
        "update": ("serviceusage.services.enable", "serviceusage.operations.get"),
        "delete": (),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.project

    @override
    def asks(self) -> Mapping[str, Ask]:
        parent = f"projects/{self.names.project}"
        query = tuple(("names", f"{parent}/services/{api}.googleapis.com") for api in APIS)
        request = Request("serviceusage", f"v1/{parent}/services:batchGet", query)
        return {"apis": Ask("the APIs", request)}

    @override
    def observe(self, found: Found) -> Live | None:
        services = listed(found.get("apis"), "services")
        states: Fields = {last(each.get("name")): text(each, "state") for each in services}
        return Live(states, kept="others may use it")

    @override
    def declared(self, live: Live | None) -> Fields:
        return {f"{api}.googleapis.com": ENABLED for api in APIS}

    @override
    def create(self, work: Work) -> None:
        self.enable(work, list(self.declared(None)))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        self.enable(work, [each.path for each in differences])

    def enable(self, work: Work, apis: list[str]) -> None:
        """Enables APIs; that a call to one still says otherwise for a while is that call's."""
        from google.cloud import service_usage_v1

        for start in range(0, len(apis), BATCH):
            request = service_usage_v1.BatchEnableServicesRequest(
                parent=f"projects/{self.names.project}", service_ids=apis[start : start + BATCH]
            )
            enable = partial(work.cloud.services.batch_enable_services, request)
            work.operate("enable", enable)

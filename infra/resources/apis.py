"""The APIs a service needs, enabled in its project. They are the project's, and stay."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, override

from google.cloud import service_usage_v1

from infra.resources.base import Difference, Fields, Live, Resource, Work

APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudresourcemanager",
    "cloudtrace",
    "iam",
    "iamcredentials",
    "logging",
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
    shared: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return self.names.project

    @override
    def declared(self, live: Live | None) -> Fields:
        return {f"{api}.googleapis.com": ENABLED for api in APIS}

    @override
    def read(self, work: Work) -> Live | None:
        parent = f"projects/{self.names.project}"
        request = service_usage_v1.BatchGetServicesRequest(
            parent=parent, names=[f"{parent}/services/{api}.googleapis.com" for api in APIS]
        )
        answer = work.read("the APIs", lambda: work.cloud.services.batch_get_services(request))
        return observe(answer or service_usage_v1.BatchGetServicesResponse())

    @override
    def create(self, work: Work) -> None:
        self.enable(work, list(self.declared(None)))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        self.enable(work, [each.path for each in differences])

    def enable(self, work: Work, apis: list[str]) -> None:
        """Enables APIs; that a call to one still says otherwise for a while is that call's."""
        for start in range(0, len(apis), BATCH):
            request = service_usage_v1.BatchEnableServicesRequest(
                parent=f"projects/{self.names.project}", service_ids=apis[start : start + BATCH]
            )
            enable = partial(work.cloud.services.batch_enable_services, request)
            enabling = work.call("enable", enable)
            work.wait("enabling", enabling)

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


def observe(answer: service_usage_v1.BatchGetServicesResponse) -> Live:
    """The states of the APIs."""
    states = {each.name.rpartition("/")[2]: each.state.name for each in answer.services}
    return Live({api: state for api, state in states.items()})

"""Service Usage through its own client."""

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1, service_usage_v1
from google.cloud.service_usage_v1 import State

from tests.emulator.emulators import Emulator, finish

RUN = "run.googleapis.com"


@pytest.fixture
def services(emulator: Emulator) -> service_usage_v1.ServiceUsageClient:
    return service_usage_v1.ServiceUsageClient(**emulator.arguments("serviceusage"))


def test_an_api_is_disabled_until_it_is_enabled(
    services: service_usage_v1.ServiceUsageClient, bare_project: str
) -> None:
    name = f"projects/{bare_project}/services/{RUN}"
    assert services.get_service({"name": name}).state == State.DISABLED
    answer = finish(services.enable_service({"name": name}))
    assert answer.service.state == State.ENABLED
    found = services.get_service({"name": name})
    assert found.state == State.ENABLED
    assert found.config.title == "Cloud Run Admin API"
    assert found.name == f"{found.parent}/services/{RUN}"
    assert found.parent.removeprefix("projects/").isdigit()
    finish(services.disable_service({"name": name}))
    assert services.get_service({"name": name}).state == State.DISABLED


def test_many_are_enabled_and_read_at_once(
    services: service_usage_v1.ServiceUsageClient, bare_project: str
) -> None:
    parent = f"projects/{bare_project}"
    names = [RUN, "secretmanager.googleapis.com"]
    request = {"parent": parent, "service_ids": names}
    finish(services.batch_enable_services(request))
    again = services.batch_enable_services(request)
    assert again.operation.name == "operations/noop.DONE_OPERATION"
    assert [one.config.name for one in finish(again).services] == names
    full = [f"{parent}/services/{name}" for name in names]
    found = services.batch_get_services({"parent": parent, "names": full}).services
    assert {one.state for one in found} == {State.ENABLED}


def test_the_list_is_filtered_and_paged(
    services: service_usage_v1.ServiceUsageClient, bare_project: str
) -> None:
    parent = f"projects/{bare_project}"
    enabled = list(services.list_services({"parent": parent, "filter": "state:ENABLED"}))
    assert RUN not in [one.config.name for one in enabled]
    everything = list(services.list_services({"parent": parent, "page_size": 3}))
    assert len(everything) > 20
    assert len({one.name for one in everything}) == len(everything)


def test_more_than_twenty_or_unknown_ones_are_refused(
    services: service_usage_v1.ServiceUsageClient, bare_project: str
) -> None:
    parent = f"projects/{bare_project}"
    with pytest.raises(exceptions.BadRequest, match="between 1 and 20"):
        services.batch_enable_services({"parent": parent, "service_ids": [RUN] * 21})
    with pytest.raises(exceptions.Forbidden, match=r"no-such\.googleapis\.com"):
        services.batch_enable_services(
            {"parent": parent, "service_ids": ["no-such.googleapis.com"]}
        )
    with pytest.raises(exceptions.BadRequest, match="filter"):
        services.list_services({"parent": parent, "filter": "nonsense"})


def test_a_disabled_api_answers_403_with_the_reason(emulator: Emulator, bare_project: str) -> None:
    client = secretmanager_v1.SecretManagerServiceClient(**emulator.arguments("secretmanager"))
    with pytest.raises(exceptions.Forbidden) as refusal:
        client.list_secrets({"parent": f"projects/{bare_project}"})
    assert refusal.value.reason == "SERVICE_DISABLED"
    assert refusal.value.metadata["service"] == "secretmanager.googleapis.com"
    assert "Enable it by visiting" in refusal.value.message

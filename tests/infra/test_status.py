"""What `invoke status` says of a service, by what Google answers."""

import pytest

from infra.tasks.status import service_lines
from infra.yaml_file import Value

NAME = "projects/p/locations/r/services/orders/revisions"
SERVED: dict[str, Value] = {"revision": "orders-0123456-1", "percent": 100}


def service(newest: str, *statuses: Value) -> Value:
    """A service that is ready."""
    return {
        "uri": "https://orders.example",
        "generation": "1",
        "observedGeneration": "1",
        "latestReadyRevision": f"{NAME}/{newest}",
        "trafficStatuses": list(statuses),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        # A shape that provision changed, which no release has given traffic.
        (service("orders-00002-abc", SERVED), ["orders-00002-abc, of a changed shape: the next"]),
        # It has a part, or all by being the latest.
        (service("orders-00002-abc", SERVED, {"revision": "orders-00002-abc", "percent": 5}), []),
        (service("orders-00002-abc", {"percent": 100}), []),
        # What was released and got none was given up, or waits.
        (service("orders-0123456-2", SERVED), []),
        (service("orders-0123456-1", SERVED), []),
    ],
)
def test_a_shape_that_is_not_served_is_said(given: Value, said: list[str]) -> None:
    lines = [value for name, value in service_lines(given, {}) if name == "not served"]
    assert [line.startswith(start) for line, start in zip(lines, said, strict=True)] == [
        True for _ in said
    ]

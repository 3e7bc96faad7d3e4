"""Traffic, the gateway, and the instances behind it: real requests to real processes."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from google.cloud import run_v2

from tests.emulator.running import (
    BY_REVISION,
    PROJECT,
    QUICK,
    Run,
    alive,
    ask,
    local_cloud,
    scaled_to_zero,
    serving,
)
from tests.emulator.services import (
    REGION,
    eventually,
    failure,
    result,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with local_cloud(tmp_path_factory.mktemp("run")) as run:
        yield run


@pytest.fixture(scope="module")
def two(run: Run) -> run_v2.Service:
    """A service with the revisions two-a and two-b."""
    service = run.create("two", revision="two-a")
    template = run.template(revision="two-b", variables={"B": "1"})
    changed: run_v2.Service = result(run.update(service, template=template))
    return changed


def split(run: Run, service: run_v2.Service, **percents: int) -> run_v2.Service:
    """Splits traffic between the revisions two-NAME."""
    targets = [
        run_v2.TrafficTarget(type_=BY_REVISION, revision=f"two-{name}", percent=percent)
        for name, percent in percents.items()
    ]
    changed: run_v2.Service = result(run.update(service, traffic=targets))
    return changed


def test_traffic_is_split_by_percent(run: Run, two: run_v2.Service) -> None:
    service = split(run, two, a=75, b=25)
    with httpx.Client() as client:
        counts = Counter(
            client.get(service.uri).json()["environment"]["K_REVISION"] for _ in range(200)
        )
    # Six standard deviations.
    assert 113 < counts["two-a"] < 187
    assert counts.total() == counts["two-a"] + counts["two-b"]
    assert {one.revision: one.percent for one in service.traffic_statuses} == {
        "two-a": 75,
        "two-b": 25,
    }


def test_a_pinned_split_outlives_a_deploy(run: Run, two: run_v2.Service) -> None:
    split(run, two, a=100)
    changed = result(run.update(two, template=run.template(variables={"C": "1"})))
    assert changed.latest_ready_revision.rpartition("/")[2] not in ("two-a", "two-b")
    assert serving(two.uri) == "two-a"


def test_a_tag_has_an_address_of_its_own(run: Run, two: run_v2.Service) -> None:
    targets = [
        run_v2.TrafficTarget(type_=BY_REVISION, revision="two-a", percent=100),
        run_v2.TrafficTarget(type_=BY_REVISION, revision="two-b", tag="next"),
    ]
    service = result(run.update(two, traffic=targets))
    tagged = {one.tag: one.uri for one in service.traffic_statuses if one.tag}
    assert serving(tagged["next"]) == "two-b"
    assert serving(service.uri) == "two-a"
    # Promoted, the address of the tag stays; without the tag it goes.
    targets[0].revision = "two-b"
    assert result(run.update(two, traffic=targets)).traffic_statuses[1].uri == tagged["next"]
    split(run, two, b=100)
    with pytest.raises(httpx.ConnectError):
        httpx.get(tagged["next"])


def test_a_revision_is_deployed_without_traffic(run: Run) -> None:
    service = run.create("dark", revision="dark-a")
    changes = run_v2.Service(
        name=service.name,
        template=run.template(revision="dark-b", variables={"B": "1"}),
        traffic=[
            {"type_": BY_REVISION, "revision": "dark-a", "percent": 100},
            {"type_": BY_REVISION, "revision": "dark-b", "tag": "candidate"},
        ],
    )
    changed = result(run.services.update_service(service=changes))
    assert serving(service.uri) == "dark-a"
    assert serving(changed.traffic_statuses[1].uri) == "dark-b"


def test_traffic_to_what_is_not_there_fails_and_changes_nothing(
    run: Run, two: run_v2.Service
) -> None:
    split(run, two, a=100)
    targets = [run_v2.TrafficTarget(type_=BY_REVISION, revision="two-z", percent=100)]
    assert "two-z" in str(failure(run.update(two, traffic=targets)))
    assert serving(two.uri) == "two-a"
    split(run, two, a=100)


# The gateway.


def test_requests_are_passed_on_with_what_google_adds(run: Run, two: run_v2.Service) -> None:
    sent = {"X-Own": "kept", "Connection": "close, X-Hop", "Host": "orders.example.com"}
    said = ask(two.uri, "/a%20b/c?d=e%2Ff", **sent)
    assert said["path"] == "/a%20b/c?d=e%2Ff"
    headers = said["headers"]
    assert headers["x-own"] == "kept"
    assert headers["host"] == "orders.example.com"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    trace, _, span = headers["x-cloud-trace-context"].partition("/")
    assert headers["traceparent"].split("-")[1] == trace
    assert int(headers["traceparent"].split("-")[2], 16) == int(span.partition(";")[0])
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = ask(two.uri, traceparent=given)["headers"]
    assert headers["traceparent"] == given
    assert headers["x-cloud-trace-context"].startswith("4bf92f3577b34da6a3ce929d0e0e4736/")
    logged = eventually(
        lambda: run.logs(
            f'logName="projects/{PROJECT}/logs/run.googleapis.com%2Frequests" AND '
            f'trace="projects/{PROJECT}/traces/4bf92f3577b34da6a3ce929d0e0e4736"'
        )
    )
    assert logged[0]["httpRequest"]["status"] == 200


def test_bodies_stream_in_both_directions(run: Run, two: run_v2.Service) -> None:
    sent: list[int] = []

    def body() -> Iterator[bytes]:
        for number in range(20):
            sent.append(number)
            yield b"%02d" % number * 50_000

    received = bytearray()
    with httpx.stream("POST", two.uri, content=body(), timeout=30) as answer:
        for piece in answer.iter_bytes():
            received += piece
    assert bytes(received) == b"".join(b"%02d" % number * 50_000 for number in range(20))
    large = os.urandom(3_000_000)
    assert httpx.post(two.uri, content=large, timeout=30).content == large


def test_googles_own_path_is_kept(two: run_v2.Service) -> None:
    assert httpx.get(f"{two.uri}/healthz").status_code == 404


def test_a_request_that_takes_too_long_ends(run: Run) -> None:
    service = run.create("slow", timeout={"seconds": 1})
    answer = httpx.get(f"{service.uri}/?seconds=20", timeout=10)
    assert (answer.status_code, answer.text) == (504, "upstream request timeout")


# Instances.


def test_an_idle_service_scales_to_zero_and_back(run: Run) -> None:
    service = run.create("idle", variables={"SLOW_START": "0.5"})
    before = ask(service.uri)["pid"]
    scaled_to_zero(run, service)
    # A cold start holds the requests.
    with ThreadPoolExecutor(5) as pool:
        pids = {one["pid"] for one in pool.map(lambda _: ask(service.uri), range(5))}
    assert len(pids) == 1
    assert before not in pids
    lines = eventually(
        lambda: run.logs(
            'resource.labels.service_name="idle" AND jsonPayload.message="asked to end"'
        )
    )
    assert lines[0]["severity"] == "NOTICE"
    assert lines[0]["resource"]["labels"]["location"] == REGION


def test_a_minimum_is_kept(run: Run) -> None:
    service = run.create("warm", scaling={"min_instance_count": 1})
    pid = ask(service.uri)["pid"]
    other = run.create("not-warm")
    scaled_to_zero(run, other)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    assert ask(service.uri)["pid"] != pid


def test_instances_grow_to_the_maximum_and_then_refuse(run: Run) -> None:
    service = run.create(
        "busy", max_instance_request_concurrency=1, scaling={"max_instance_count": 2}
    )

    def get(_: int) -> httpx.Response:
        return httpx.get(f"{service.uri}/?seconds=2.5", timeout=30)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(get, range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert "Rate exceeded." in [answer.text for answer in answers if answer.status_code == 429]
    assert len({one.json()["pid"] for one in answers if one.status_code == 200}) == 2


def test_a_stubborn_instance_is_killed_after_its_grace(run: Run) -> None:
    service = run.create("stubborn", variables={"BEHAVIOUR": "stubborn"})
    pid = ask(service.uri)["pid"]
    began = time.monotonic()
    result(run.services.delete_service(name=service.name))
    assert time.monotonic() - began > 0.9
    assert not alive(pid)
    lines = run.logs('resource.labels.service_name="stubborn"')
    assert any("asked to end" in str(one.get("jsonPayload")) for one in lines)


def test_an_instance_that_dies_is_replaced(run: Run) -> None:
    service = run.create("mortal")
    pid = ask(service.uri)["pid"]
    answer = httpx.get(f"{service.uri}/die")
    assert answer.status_code == 503
    assert ask(service.uri)["pid"] != pid
    lines = eventually(
        lambda: run.logs('resource.labels.service_name="mortal" AND severity=WARNING')
    )
    assert any("Container called exit(3)." in one.get("textPayload", "") for one in lines)


def test_an_instance_that_is_not_live_is_replaced(run: Run, tmp_path: Path) -> None:
    service = run.create(
        "lively",
        container={"liveness_probe": QUICK},
        variables={"UNHEALTHY": str(tmp_path / "unhealthy")},
        scaling={"min_instance_count": 1},
    )
    pid = ask(service.uri)["pid"]
    httpx.get(f"{service.uri}/fail")
    eventually(lambda: not alive(pid))
    lines = eventually(
        lambda: run.logs('resource.labels.service_name="lively" AND severity>=ERROR')
    )
    assert "LIVENESS HTTP probe failed 2 times" in lines[0]["textPayload"]


def test_lines_are_log_entries(run: Run, two: run_v2.Service) -> None:
    line = (
        '{"severity": "WARNING", "message": "m", "key": 1, "logging.googleapis.com/trace": "t",'
        ' "logging.googleapis.com/labels": {"own": "label"}}'
    )
    httpx.get(f"{two.uri}/log", params={"line": line})
    entry = eventually(lambda: run.logs("jsonPayload.key=1"))[0]
    assert entry["severity"] == "WARNING"
    assert entry["jsonPayload"] == {"message": "m", "key": 1}
    assert entry["trace"] == "t"
    assert entry["labels"]["own"] == "label"
    assert entry["labels"]["instanceId"]
    assert entry["logName"].endswith("/logs/run.googleapis.com%2Fstdout")
    labels = entry["resource"]["labels"]
    assert entry["resource"]["type"] == "cloud_run_revision"
    assert labels["service_name"] == "two"
    assert labels["location"] == REGION

"""A candidate asked over HTTP: what counts as an answer, and what is said of a wrong one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from google.cloud import run_v2

from infra.cloud import Cloud
from infra.environment import Environment
from infra.release import ReleaseError
from infra.release.checks import authorization, check
from infra.release.live import REVISION, TAG
from infra.resources.base import Work
from infra.retry import Retry

type Answers = Callable[..., run_v2.Service]
PAGE = "text/html"


@pytest.fixture
def work(host: str) -> Work:
    """What an emulator is called with."""
    given = {"name": "stg", "project": "p-12345", "region": "europe-west1"}
    environment = Environment.model_validate({**given, "service": {"name": "orders"}})
    return Work(Cloud(environment, host), Retry(Event()), {})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Serves what it is told to, by path, and returns a live service whose candidate that is."""
    # A new address is waited for; here it is there.
    monkeypatch.setattr("infra.release.checks.LATE_SECONDS", 1.0)
    given: dict[str, list[tuple[int, str, str]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The next answer of the path; the last one again and again."""
            known = given.get(self.path, [(404, "text/plain", "nothing")])
            status, kind, text = known.pop(0) if len(known) > 1 else known[0]
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("location", "/health")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()

    def serve(**paths: list[tuple[int, str, str]]) -> run_v2.Service:
        given.update({"/" + path: list(told) for path, told in paths.items()})
        uri = f"http://127.0.0.1:{server.server_port}"
        status = run_v2.TrafficTargetStatus(type_=REVISION, revision="s-2", tag=TAG, uri=uri)
        return run_v2.Service(uri=uri, traffic_statuses=[status])

    yield serve
    server.shutdown()
    server.server_close()
    thread.join()


WELL = (200, "application/json", "{}")


def test_all_paths_are_asked(work: Work, answers: Answers) -> None:
    live = answers(health=[WELL], orders=[(401, "application/json", "{}")], old=[(307, "", "")])
    assert check(work, live, {"/orders": 401, "/old": 307}) == "/health 200, /orders 401, /old 307"


def test_it_may_take_a_moment(
    work: Work, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.release.checks.LATE_SECONDS", 60.0)
    live = answers(health=[(404, PAGE, "not yet"), (503, "", "starting"), WELL])
    assert check(work, live, {}) == "/health 200"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((503, "application/json", '{"message": "down"}'), "answered 503, and not 200: {"),
        # The service's own refusal, and not that of Google's front end.
        ((403, "application/json", "no"), "GET /orders answered 403, and not 200: no"),
        ((403, PAGE, "<html>"), "can't be made from here: you may not call it, which takes roles/"),
        # A redirect is not followed.
        ((302, "text/plain", ""), "answered 302, and not 200"),
    ],
)
def test_a_wrong_answer_is_told(
    work: Work, answers: Answers, told: tuple[int, str, str], said: str
) -> None:
    live = answers(health=[WELL], orders=[told])
    with pytest.raises(ReleaseError) as caught:
        check(work, live, {"/orders": 200})
    assert said in str(caught.value)


def test_who_may_not_call_it_relies_on_the_probe(work: Work, answers: Answers) -> None:
    live = answers(health=[(403, PAGE, "<html>")])
    assert check(work, live, {}) == (
        "not checked from here: you may not call it, which takes roles/run.invoker"
    )


def test_a_public_service_is_shown_no_token(work: Work, answers: Answers) -> None:
    live = answers(health=[WELL])
    assert authorization(work, live) == {"X-Serverless-Authorization": "Bearer local"}
    live.invoker_iam_disabled = True
    assert authorization(work, live) == {}
    live.invoker_iam_disabled = False
    given = work.cloud.environment
    open_to_all = given.service.model_copy(update={"invokers": ["allUsers"]})
    public = given.model_copy(update={"service": open_to_all})
    assert authorization(replace(work, cloud=work.cloud.of(public)), live) == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"}, "its ingress is internal"),
        ({"traffic_statuses": []}, "its default URL is disabled"),
    ],
)
def test_what_cannot_be_reached_is_an_error_only_for_what_was_declared(
    work: Work, answers: Answers, fields: dict[str, object], why: str
) -> None:
    live = run_v2.Service(answers(health=[WELL]))
    for name, value in fields.items():
        setattr(live, name, value)
    assert check(work, live, {}) == f"not checked from here: {why}"
    with pytest.raises(ReleaseError, match=rf"release\.checks can't be made from here: {why}"):
        check(work, live, {"/orders": 200})


def test_no_answer_says_why(work: Work, answers: Answers) -> None:
    live = answers()
    live.traffic_statuses[0].uri = "http://127.0.0.1:9"
    said = check(work, live, {})
    assert said.startswith("not checked from here: GET /health was not answered: ")
    assert "refused" in said
    with pytest.raises(
        ReleaseError, match=r"can't be made from here: GET /health was not answered"
    ):
        check(work, live, {"/orders": 200})

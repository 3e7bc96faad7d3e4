"""What Google's errors mean, and how long each is waited out."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import cast

import pytest
import requests
import yaml
from google.api_core import exceptions
from google.auth.exceptions import RefreshError, TransportError

from infra.causes import Cause, answer_of, awaited, classify, message_of
from infra.clock import Clock
from infra.retry import CloudError, Retry, Stopped, Waiting, impatient

type Case = dict[str, object]

CASES: list[Case] = yaml.safe_load(Path(__file__).with_name("errors.yaml").read_text("utf-8"))
UNAVAILABLE = exceptions.ServiceUnavailable("down")  # type: ignore[no-untyped-call]


def raised(case: Case, **headers: str) -> exceptions.GoogleAPICallError:
    """The error that Google's clients make of an answer."""
    response = requests.Response()
    response.status_code = cast("int", case["code"])
    text = case.get("text") or json.dumps(case["body"])
    response._content = str(text).encode()
    response.headers.update(headers)
    response.request = requests.Request("POST", "https://run.googleapis.com/v2/x").prepare()
    return exceptions.from_http_response(response)  # type: ignore[no-any-return, no-untyped-call]


class Time:
    """A time that passes only when it is slept through."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A call that fails so often, and then works."""
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return call


def retrying(clock: Clock, told: list[Waiting] | None = None) -> Retry:
    """A retry on a time of its own."""
    report = (told if told is not None else []).append
    return Retry(Event(), report=report, clock=clock, caller=lambda: "user:ann@acme.com")


@pytest.mark.parametrize("case", CASES, ids=[str(each["name"]) for each in CASES])
def test_an_answer_has_a_meaning(case: Case) -> None:
    error = raised(case)
    cause = classify(error, recent=bool(case.get("recent")))
    assert cause == case["cause"]
    if cause and "awaited" in case:
        assert awaited(cause, message_of(error)) == case["awaited"]


@pytest.mark.parametrize(
    "case",
    [each for each in CASES if "fix" in each or "says" in each],
    ids=lambda each: str(each["name"]),
)
def test_what_stops_names_the_field_or_the_command(case: Case) -> None:
    retry = retrying(Time())
    retry.project = "acme-stg"
    with pytest.raises(CloudError) as stopped:
        retry.call("create", failing(1, raised(case)))
    for each in [*cast("list[str]", case.get("fix", [])), str(case.get("says", ""))]:
        assert each in str(stopped.value)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("reset"),
        requests.Timeout("late"),
        requests.exceptions.ChunkedEncodingError("cut"),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        TransportError("no route"),  # type: ignore[no-untyped-call]
        exceptions.RetryError("gave up", UNAVAILABLE),  # type: ignore[no-untyped-call]
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_lost_connection_is_transient(error: Exception) -> None:
    assert classify(error) is Cause.TRANSIENT


def test_a_login_that_is_over_says_how_to_log_in() -> None:
    over = RefreshError("Reauthentication is needed.")  # type: ignore[no-untyped-call]
    with pytest.raises(CloudError, match="gcloud auth application-default login"):
        retrying(Time()).call("read", failing(1, over))


def test_our_own_mistakes_are_not_googles() -> None:
    assert classify(KeyError("a")) is None
    assert classify(CloudError("create", "no")) is None


def test_a_meaning_needs_none_of_googles_libraries() -> None:
    program = (
        "import sys\n"
        "from infra.causes import classify\n"
        "from infra.retry import Retry\n"
        "assert classify(ConnectionResetError()) == 'transient'\n"
        "assert classify(ValueError()) is None\n"
        "loaded = [each for each in sys.modules if each.split('.')[0] in ('google', 'requests')]\n"
        "sys.exit(str(loaded) if loaded else 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_what_passes_is_waited_out_and_told() -> None:
    clock, told = Time(), list[Waiting]()
    late = exceptions.BadRequest(  # type: ignore[no-untyped-call]
        "Service account a@x.iam.gserviceaccount.com does not exist."
    )
    assert retrying(clock, told).call("grant", failing(20, late)) == "done"
    assert told[-1].deadline == 420
    assert told[-1].what == "the account a@x.iam.gserviceaccount.com"
    assert 0 < told[-1].seconds < clock.seconds


def test_a_deadline_ends_with_what_google_said() -> None:
    clock = Time()
    with pytest.raises(CloudError, match=r"create: down \(tried for 2 min") as stopped:
        retrying(clock).call("create", failing(10_000, UNAVAILABLE))
    assert stopped.value.cause is Cause.TRANSIENT
    assert 120 <= clock.seconds < 140


def test_where_a_cause_can_not_come_it_is_waited_out_for_less_and_others_as_ever() -> None:
    late = exceptions.BadRequest(  # type: ignore[no-untyped-call]
        "Service account a@x.iam.gserviceaccount.com does not exist."
    )
    clock = Time()
    with impatient(Cause.PROPAGATING, 3), pytest.raises(CloudError, match="does not exist"):
        retrying(clock).call("grant", failing(10_000, late))
    assert 3 <= clock.seconds < 6
    with impatient(Cause.PROPAGATING, 3):
        assert retrying(clock).call("create", failing(8, UNAVAILABLE)) == "done"
    assert retrying(clock).call("grant", failing(20, late)) == "done"


def test_a_long_wait_for_one_thing_leaves_patience_for_another() -> None:
    clock = Time()
    busy = exceptions.Conflict(  # type: ignore[no-untyped-call]
        "another operation was already in progress"
    )
    first, then = failing(40, busy), failing(3, UNAVAILABLE)
    assert retrying(clock).call("create", lambda: first() and then()) == "done"
    assert clock.seconds > 120


@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
def test_what_google_asks_to_wait_is_waited(name: str) -> None:
    clock = Time()
    case = {"code": 429, "body": {"error": {"message": "slow down"}}}
    retrying(clock).call("read", failing(1, raised(case, **{name: "17"})))
    assert clock.seconds == 17


def test_what_google_asks_may_be_a_date_on_its_own_clock() -> None:
    case = {"code": 503, "body": {"error": {"message": "later"}}}
    headers = {
        "Retry-After": "Tue, 24 Nov 2026 10:00:40 GMT",
        "Date": "Tue, 24 Nov 2026 10:00:00 GMT",
    }
    answer = answer_of(raised(case, **headers))
    assert answer
    assert answer.retry_after == 40


def test_what_google_asks_to_wait_is_not_waited_beyond_reason() -> None:
    clock = Time()
    case = {"code": 429, "body": {"error": {"message": "slow down"}}}
    with pytest.raises(CloudError, match="slow down"):
        retrying(clock).call("read", failing(1, raised(case, **{"Retry-After": "86400"})))
    assert clock.seconds == 0


def test_a_write_that_may_have_been_done_is_not_repeated() -> None:
    calls = list[str]()

    def create() -> str:
        calls.append("create")
        raise requests.ConnectionError("reset")

    with pytest.raises(CloudError) as stopped:
        retrying(Time()).write("create", create)
    assert stopped.value.cause is Cause.TRANSIENT
    assert calls == ["create"]


def test_a_write_that_was_not_taken_is_repeated() -> None:
    throttled = exceptions.TooManyRequests("slow")  # type: ignore[no-untyped-call]
    assert retrying(Time()).write("create", failing(3, throttled)) == "done"


def test_an_interrupt_ends_the_waiting() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Stopped):
        Retry(stop).call("create", failing(3, UNAVAILABLE))

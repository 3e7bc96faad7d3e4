"""What Google's errors mean, and how long each is waited out."""

from collections.abc import Callable
from threading import Event

import pytest
import requests
from google.api_core import exceptions

from infra.retry import Cause, CloudError, Retry, Stopped, Waiting, classify


def said(kind: Callable[..., Exception], message: str, **more: object) -> Exception:
    """An answer of Google's that is an error."""
    return kind(message, **more)


MEANINGS = [
    (said(exceptions.ServiceUnavailable, "down"), Cause.TRANSIENT),
    (said(exceptions.InternalServerError, "oops"), Cause.TRANSIENT),
    (requests.ConnectionError("reset"), Cause.TRANSIENT),
    (said(exceptions.TooManyRequests, "slow down"), Cause.THROTTLED),
    (said(exceptions.NotFound, "no such bucket"), Cause.ABSENT),
    (said(exceptions.Forbidden, "Permission 'run.services.create' denied on it"), Cause.DENIED),
    (said(exceptions.InvalidArgument, "bad name"), Cause.INVALID),
    (said(exceptions.MethodNotImplemented, "Method not implemented"), Cause.INVALID),
    (said(exceptions.AlreadyExists, "it already exists"), Cause.EXISTS),
    (said(exceptions.Conflict, "Your previous request: you already own this bucket"), Cause.EXISTS),
    (said(exceptions.Aborted, "There were concurrent policy changes"), Cause.CONFLICT),
    (
        said(exceptions.Conflict, "version '1' was specified but current version is '2'"),
        Cause.CONFLICT,
    ),
    (said(exceptions.PreconditionFailed, "metageneration"), Cause.CONFLICT),
    (
        said(exceptions.Conflict, "", errors=[{"reason": "operationInProgress"}]),
        Cause.BUSY,
    ),
    (
        said(exceptions.BadRequest, "Another activation or deactivation is in progress"),
        Cause.BUSY,
    ),
    (
        said(
            exceptions.Forbidden, "Run API has not been used in project 1 before or it is disabled."
        ),
        Cause.PROPAGATING,
    ),
    (
        said(
            exceptions.BadRequest,
            "Service account orders-run@x.iam.gserviceaccount.com does not exist.",
        ),
        Cause.PROPAGATING,
    ),
    (
        said(
            exceptions.PermissionDenied,
            "Permission denied on secret: projects/1/secrets/a for Revision",
        ),
        Cause.PROPAGATING,
    ),
]


class Clock:
    """A time that passes only when it is slept through."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A call that fails so often, and then works."""
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return call


@pytest.mark.parametrize(("error", "cause"), MEANINGS, ids=[str(each[0]) for each in MEANINGS])
def test_an_error_has_a_meaning(error: Exception, cause: Cause) -> None:
    assert classify(error) is cause


def test_a_refusal_may_only_be_late_when_something_was_just_made() -> None:
    refused = said(
        exceptions.Forbidden, "Permission 'iam.serviceAccounts.actAs' denied on account a"
    )
    assert classify(refused) is Cause.DENIED
    assert classify(refused, recent=True) is Cause.PROPAGATING


def test_what_we_may_not_do_is_not_waited_for_even_then() -> None:
    refused = said(
        exceptions.Forbidden, "Permission 'resourcemanager.projects.setIamPolicy' denied"
    )
    assert classify(refused, recent=True) is Cause.DENIED


def test_our_own_mistakes_are_not_googles() -> None:
    assert classify(KeyError("a")) is None


def test_what_passes_is_waited_out_and_told() -> None:
    clock, told = Clock(), list[Waiting]()
    retry = Retry(Event(), report=told.append, clock=clock, sleep=clock.sleep)
    late = said(exceptions.BadRequest, "Service account a@x does not exist.")
    assert retry.call("grant", failing(20, late)) == "done"
    assert told[-1].deadline == 420
    assert "Service account a@x does not exist" in told[-1].what


def test_a_deadline_ends_with_what_google_said() -> None:
    clock = Clock()
    retry = Retry(Event(), clock=clock, sleep=clock.sleep)
    with pytest.raises(CloudError, match=r"create: down \(tried for 2 min") as raised:
        retry.call("create", failing(10_000, said(exceptions.ServiceUnavailable, "down")))
    assert raised.value.cause is Cause.TRANSIENT
    assert 120 <= clock.now < 140


def test_a_refusal_names_the_permission() -> None:
    refused = said(exceptions.Forbidden, "Permission 'run.services.create' denied on projects/a")
    with pytest.raises(CloudError, match=r"needs the permission run\.services\.create"):
        Retry(Event()).call("create", failing(1, refused))


def test_an_interrupt_ends_the_waiting() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Stopped):
        Retry(stop).call("create", failing(3, said(exceptions.ServiceUnavailable, "down")))

"""What an error of Google's means, and what follows: wait, re-read and redo, or stop and say why.

The one retry of the engine: Google's clients retry little, and not what matters here. Importing
this module imports none of Google's libraries.
"""

# ruff: noqa: PLC0415

import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from infra.report import spell
from infra.rest import ConnectionLost, RestError

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError


class Cause(StrEnum):
    """What an error means."""

    TRANSIENT = "transient"
    """It works when it is tried again: 5xx, a connection that broke."""
    THROTTLED = "throttled"
    """It works when it is tried again later: 429."""
    BUSY = "busy"
    """Another operation on the same thing has to end first."""
    PROPAGATING = "propagating"
    """What it needs is there, and not known everywhere yet: an API, an account, a grant."""
    CONFLICT = "conflict"
    """Somebody changed it since it was read: read it again and redo the whole change."""
    EXISTS = "exists"
    """It is there already: read it, and see whose it is."""
    ABSENT = "absent"
    """It is not there."""
    DENIED = "denied"
    """Who we are may not do it."""
    INVALID = "invalid"
    """Google does not take it, however often it is sent."""


@dataclass(frozen=True)
class Patience:
    """How long a cause is waited out, in seconds."""

    first: float
    most: float
    deadline: float


PATIENCE = {
    Cause.TRANSIENT: Patience(0.3, 10, 120),
    Cause.THROTTLED: Patience(2, 30, 180),
    Cause.BUSY: Patience(1, 15, 1200),
    Cause.PROPAGATING: Patience(0.5, 10, 420),
}
POLL = Patience(0.05, 5, 2400)
FACTOR = 1.5

BUSY_WORDS = re.compile(
    r"operationInProgress|another operation was already in progress"
    r"|[Aa]nother activation or deactivation is in progress|another operation is in progress",
)
CONFLICT_WORDS = re.compile(
    r"etag|concurrent policy changes|[Cc]onflict for resource|was specified but current"
    r"|settingsVersion|concurrently",
)
DISABLED_WORDS = re.compile(r"SERVICE_DISABLED|has not been used in project|API is disabled")
ACCOUNT_WORDS = re.compile(
    r"[Ss]ervice [Aa]ccount\S* .*(does not exist|not found|was not found)"
    r"|[Uu]nknown service account|(does not exist|not found)[^.]*serviceAccount"
)
SECRET_WORDS = re.compile(r"[Pp]ermission denied on secret")
UNSEEN_WORDS = re.compile(r"actAs|iam\.serviceAccounts|must be granted|does not have .*access")


class Stopped(Exception):
    """The command was interrupted while it waited."""


class CloudError(Exception):
    """Something failed: what was being done, what Google said, and what to do next."""

    def __init__(self, doing: str, said: str, fix: str = "", cause: Cause = Cause.INVALID) -> None:
        super().__init__(f"{doing}: {said}" + (f"\n{fix}" if fix else ""))
        self.doing = doing
        self.said = said
        self.fix = fix
        self.cause = cause


class LongRunning[T](Protocol):
    """A long-running operation, as Google's clients give it."""

    def done(self) -> bool: ...
    def result(self) -> T: ...


@dataclass(frozen=True)
class Waiting:
    """What is waited for: how long already, and how long at most, in seconds."""

    what: str
    seconds: float
    deadline: float


def ignore(waiting: Waiting) -> None:
    """Nobody wants to know."""


@dataclass
class Retry:
    """Calls, and calls again while the cause of the failure says so.

    `recent`: something that the calls need was changed a moment ago, so that a refusal may only
    mean that the change is not known everywhere yet.
    """

    stop: Event
    recent: bool = False
    report: Callable[[Waiting], None] = ignore
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], None] | None = None

    def call[T](self, doing: str, function: Callable[[], T]) -> T:
        """What the function returns. Raises CloudError, or Stopped."""
        started = self.clock()
        tries: dict[Cause, int] = {}
        while True:
            try:
                return function()
            except Exception as error:
                cause = classify(error, recent=self.recent)
                if cause is None:
                    raise
                patience = PATIENCE.get(cause)
                waited = self.clock() - started
                if patience is None or waited >= patience.deadline:
                    raise explain(doing, error, cause, waited) from error
                tries[cause] = tries.get(cause, 0) + 1
                if waited > patience.first:
                    self.report(Waiting(waited_for(cause, error), waited, patience.deadline))
                self.pause(backoff(patience, tries[cause]))

    def wait[T](self, doing: str, operation: LongRunning[T]) -> T:
        """The result of a long-running operation. Raises CloudError."""
        started = self.clock()
        self.until(doing, operation.done)
        try:
            return operation.result()
        except Exception as error:
            # What the operation did is over: it has to be begun anew, if at all.
            cause = classify(error, recent=self.recent)
            if cause is None:
                raise
            raise explain(doing, error, cause, self.clock() - started) from error

    def until(self, doing: str, done: Callable[[], bool]) -> None:
        """Returns when the function says True. Raises CloudError.

        Interrupted, it goes on: what is in flight is waited for.
        """
        started = self.clock()
        tries = 0
        while not self.call(doing, done):
            waited = self.clock() - started
            if waited >= POLL.deadline:
                raise CloudError(doing, f"it is not done after {spell(waited)}", RUN_AGAIN)
            tries += 1
            self.report(Waiting(doing, waited, 0))
            (self.sleep or unstopped)(backoff(POLL, tries, jitter=False))

    def pause(self, seconds: float) -> None:
        """Sleeps. Raises Stopped when the command is interrupted meanwhile."""
        if self.sleep:
            self.sleep(seconds)
        else:
            self.stop.wait(seconds)
        if self.stop.is_set():
            raise Stopped


RUN_AGAIN = "Run the same command again: it goes on where this one ended."


def unstopped(seconds: float) -> None:
    """Sleeps, whatever happens."""
    Event().wait(seconds)


def backoff(patience: Patience, tries: int, *, jitter: bool = True) -> float:
    """Seconds before the next try."""
    longest = min(patience.most, patience.first * FACTOR ** min(tries - 1, 30))
    return longest * random.uniform(0.7, 1) if jitter else longest  # noqa: S311


def classify(error: Exception, *, recent: bool = False) -> Cause | None:
    """What an error means, None when it is none of a call's."""
    if isinstance(error, RestError):
        return classify_answer(error, recent=recent)
    if isinstance(error, ConnectionLost):
        return Cause.TRANSIENT
    if isinstance(error, CloudError):
        return None
    return classify_clients(error, recent=recent)


def classify_clients(error: Exception, *, recent: bool) -> Cause | None:
    """What an error of Google's clients means; of a library that was not loaded there is none."""
    if "requests" in sys.modules:
        import requests

        if isinstance(error, requests.ConnectionError | requests.Timeout):
            return Cause.TRANSIENT
    if "google.auth" in sys.modules:
        from google.auth import exceptions as auth

        if isinstance(error, auth.GoogleAuthError):
            lost = isinstance(error, auth.TransportError)
            return Cause.TRANSIENT if lost else Cause.DENIED
    if "google.api_core" in sys.modules:
        from google.api_core import exceptions

        if isinstance(error, exceptions.GoogleAPICallError):
            return classify_answer(error, recent=recent)
    return None


def classify_answer(error: "GoogleAPICallError | RestError", *, recent: bool) -> Cause:
    """What an answer of Google's means."""
    text = f"{error.reason or ''} {error.errors} {error.message}"
    code = int(error.code or 0)
    by_words: list[tuple[bool, Cause]] = [
        (bool(BUSY_WORDS.search(text)), Cause.BUSY),
        (code == 403 and bool(DISABLED_WORDS.search(text)), Cause.PROPAGATING),
        (code in {400, 404} and bool(ACCOUNT_WORDS.search(text)), Cause.PROPAGATING),
        (cause_of(text) is Cause.PROPAGATING, Cause.PROPAGATING),
        (recent and code in {400, 403} and bool(UNSEEN_WORDS.search(text)), Cause.PROPAGATING),
        (code == 409 and is_conflict(error, text), Cause.CONFLICT),
        (code == 400 and bool(re.search(r"\betag\b.*match", text)), Cause.CONFLICT),
    ]
    for matches, cause in by_words:
        if matches:
            return cause
    by_code = {
        401: Cause.DENIED,
        403: Cause.DENIED,
        404: Cause.ABSENT,
        408: Cause.TRANSIENT,
        409: Cause.EXISTS,
        412: Cause.CONFLICT,
        429: Cause.THROTTLED,
        501: Cause.INVALID,
    }
    return by_code.get(code, Cause.TRANSIENT if code >= 500 else Cause.INVALID)


def cause_of(text: str) -> Cause:
    """What a failure means that has no code: that of a revision."""
    # The grant is there, or what needs it would not have been begun.
    return Cause.PROPAGATING if SECRET_WORDS.search(text) else Cause.INVALID


def is_conflict(error: "GoogleAPICallError | RestError", text: str) -> bool:
    """Whether a 409 says that somebody was faster, rather than that it exists."""
    if re.search(r"already exists|ALREADY_EXISTS|already own|AlreadyExists", text):
        return False
    status = f"{getattr(error, 'grpc_status_code', '')}{getattr(error, 'status', '')}"
    return "ABORTED" in f"{status}{text}" or bool(CONFLICT_WORDS.search(text))


def is_disabled(error: Exception) -> bool:
    """Whether it says that the API is not enabled in the project."""
    said = f"{getattr(error, 'reason', '') or ''} {getattr(error, 'message', '')}"
    return getattr(error, "code", None) == 403 and bool(DISABLED_WORDS.search(said))


def waited_for(cause: Cause, error: Exception) -> str:
    """What to say is waited for."""
    said = first_line(message_of(error))
    return {
        Cause.PROPAGATING: f"until Google knows of it everywhere ({said})",
        Cause.BUSY: "for another operation on it to end",
        Cause.THROTTLED: "because there were too many requests",
    }.get(cause, f"to try again ({said})")


def explain(doing: str, error: Exception, cause: Cause, waited: float) -> CloudError:
    """The error for a person."""
    said = message_of(error)
    if waited >= 1 and cause in PATIENCE:
        said = f"{said} (tried for {spell(waited)})"
    permission = re.search(r"[Pp]ermission '?([a-zA-Z]+\.[a-zA-Z.]+)'?", said)
    named = f"the permission {permission[1]}" if permission else "a role that allows it"
    fix = {
        Cause.DENIED: f"Whoever you are logged in as needs {named}; see `gcloud auth list`.",
        Cause.TRANSIENT: RUN_AGAIN,
        Cause.THROTTLED: f"The project's quota is used up for now. {RUN_AGAIN}",
        Cause.BUSY: RUN_AGAIN,
        Cause.PROPAGATING: f"It can take Google longer than that. {RUN_AGAIN}",
    }.get(cause, "")
    if "Reauthentication" in said or "invalid_grant" in said:
        fix = "Log in again: gcloud auth application-default login"
    return CloudError(doing, said, fix, cause)


def message_of(error: Exception) -> str:
    """What Google said, without the request it said it to."""
    text = str(getattr(error, "message", "") or error)
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text).strip()


def first_line(text: str) -> str:
    """Its first line, shortened."""
    line = text.partition("\n")[0]
    return line if len(line) <= 120 else f"{line[:119]}…"

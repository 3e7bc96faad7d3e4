"""What an error of Google's means, whichever client it came through, and how to say it.

Nothing is waited for or called here. None of Google's libraries is imported: what raised the error
has been imported by then, and an error is known by what it tells (`code`, `message`, `errors`).
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Protocol, cast


class Cause(StrEnum):
    """What an error means."""

    TRANSIENT = "transient"
    """It may work when it is tried again, and it may have worked: 5xx, a connection that broke."""
    THROTTLED = "throttled"
    """It works when it is tried again later: 429, or 403 for a quota per minute."""
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


RATE_REASONS = re.compile(r"\b(userRateLimitExceeded|rateLimitExceeded|RATE_LIMIT_EXCEEDED)\b")
RATE_WORDS = re.compile(r"[Qq]uota exceeded[^\n]*\bper (minute|second|100 seconds)\b")
QUOTA_WORDS = re.compile(r"dailyLimitExceeded|quotaExceeded|QUOTA_EXCEEDED|[Qq]uota exceeded")
BUSY_WORDS = re.compile(
    r"operationInProgress|another operation was already in progress"
    r"|[Aa]nother activation or deactivation is in progress|another operation is in progress"
    r"|not in an appropriate state to handle the request",
)
CONFLICT_WORDS = re.compile(
    r"etag|concurrent policy changes|[Cc]onflict for resource|was specified but current"
    r"|settingsVersion|concurrently|unable to queue the operation",
)
EXISTS_WORDS = re.compile(r"already exists|ALREADY_EXISTS|already own|AlreadyExists")
DISABLED_WORDS = re.compile(
    r"SERVICE_DISABLED|accessNotConfigured|has not been used in project|API is disabled"
)
ACCOUNT_WORDS = re.compile(
    r"[Ss]ervice [Aa]ccount\S* .*(does not exist|not found|was not found)"
    r"|[Uu]nknown service account|(does not exist|not found)[^.]*serviceAccount"
)
SECRET_WORDS = re.compile(r"[Pp]ermission denied on secret")
UNSEEN_WORDS = re.compile(r"actAs|iam\.serviceAccounts|must be granted|does not have .*access")
ACCOUNT = r"[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com"

CONNECTION_ERRORS = {
    "google.auth.exceptions": ("TransportError",),
    "http.client": ("HTTPException",),
    "infra.rest": ("ConnectionLost",),
    "requests.exceptions": ("ConnectionError", "Timeout", "ChunkedEncodingError"),
    "urllib3.exceptions": ("HTTPError",),
}
"""What libraries raise when a connection breaks, or an answer does not come."""
LOGIN_ERRORS = {"google.auth.exceptions": ("GoogleAuthError",)}


class Response(Protocol):
    """The HTTP answer behind an error."""

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Violation:
    """A field that Google does not take, and why (google.rpc.BadRequest)."""

    field: str
    why: str


@dataclass(frozen=True)
class Answer:
    """An answer of Google's that is an error."""

    code: int
    """The HTTP status."""
    message: str
    status: str = ""
    """Google's word for it, such as ABORTED; "" when the client did not keep it."""
    text: str = ""
    """All of it, reasons and details too, for looking for words in."""
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    """Seconds after which Google wants to hear of it again."""


@dataclass(frozen=True)
class Meaning:
    """What an error means, and what Google said."""

    cause: Cause
    said: str
    answer: Answer | None = field(default=None, repr=False)


def classify(error: Exception, *, recent: bool = False) -> Cause | None:
    """What an error means, None when it is none of a call's.

    `recent`: what the call needs was made a moment ago, so that a refusal may be a late grant.
    """
    if is_one_of(error, CONNECTION_ERRORS) or isinstance(error, ConnectionError | TimeoutError):
        return Cause.TRANSIENT
    if is_one_of(error, LOGIN_ERRORS):
        return Cause.DENIED
    inner = getattr(error, "cause", None)
    if isinstance(inner, Exception):
        # A client of Google's that gave up its own retrying (RetryError).
        return classify(inner, recent=recent)
    answer = answer_of(error)
    return None if answer is None else classify_answer(answer, recent=recent)


def is_one_of(error: BaseException, names: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether an error is of a class of a library: one that is not loaded can't have raised it."""
    for module, classes in names.items():
        loaded = sys.modules.get(module)
        known = (getattr(loaded, name, None) for name in classes) if loaded else ()
        if any(isinstance(each, type) and isinstance(error, each) for each in known):
            return True
    return False


def answer_of(error: BaseException) -> Answer | None:
    """What Google answered, None when the error is no answer of Google's."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if not isinstance(message, str) or not hasattr(error, "errors"):
        return None
    told = (*(getattr(error, "details", ()) or ()), *(error.errors or ()))
    details = [each for each in told if isinstance(each, Mapping)]
    status = status_of(error)
    reason = getattr(error, "reason", None) or ""
    parts = (status, reason, *map(str, told), message)
    return Answer(
        code=int(code) if isinstance(code, int) else 500,
        message=message,
        status=status,
        text=" ".join(parts),
        violations=tuple(violations(details)),
        retry_after=retry_after(error, details),
    )


def status_of(error: BaseException) -> str:
    """Google's word for an error: of the body, where the client kept it."""
    told = getattr(error, "status", None)
    if isinstance(told, str) and told:
        return told
    response = getattr(error, "response", None)
    try:
        body = response.json() if response is not None else None
    except (AttributeError, ValueError):
        body = None
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict) and inner.get("status"):
        return str(inner["status"])
    code = getattr(error, "grpc_status_code", None)
    return str(getattr(code, "name", "") or "")


def violations(details: list[Mapping[str, object]]) -> Iterator[Violation]:
    """The fields that Google does not take."""
    for each in details:
        if str(each.get("@type", "")).endswith("google.rpc.BadRequest"):
            for one in cast("list[dict[str, str]]", each.get("fieldViolations", [])):
                yield Violation(one.get("field", ""), one.get("description", ""))


def retry_after(error: BaseException, details: list[Mapping[str, object]]) -> float | None:
    """Seconds to wait that Google asks for: RetryInfo, or the header Retry-After (RFC 9110)."""
    for each in details:
        delay = re.fullmatch(r"([0-9.]+)s", str(each.get("retryDelay", "")))
        if delay:
            return float(delay[1])
    told = getattr(error, "retry_after", None)
    if isinstance(told, int | float):
        return float(told)
    response = cast("Response | None", getattr(error, "response", None))
    headers = getattr(response, "headers", None) or getattr(error, "headers", None) or {}
    header = str(headers.get("Retry-After") or headers.get("retry-after") or "")
    if header.isdigit():
        return float(header)
    now = str(headers.get("Date") or headers.get("date") or "")
    try:
        until = parsedate_to_datetime(header) - parsedate_to_datetime(now)
    except ValueError:
        return None
    return max(until.total_seconds(), 0)


def classify_answer(answer: Answer, *, recent: bool = False) -> Cause:
    """What an answer of Google's means."""
    code, text = answer.code, answer.text
    by_words: list[tuple[bool, Cause]] = [
        (code in {403, 429} and is_rate(text), Cause.THROTTLED),
        (code == 403 and bool(QUOTA_WORDS.search(text)), Cause.INVALID),
        (bool(BUSY_WORDS.search(text)), Cause.BUSY),
        (code == 403 and bool(DISABLED_WORDS.search(text)), Cause.PROPAGATING),
        (code in {400, 404} and bool(ACCOUNT_WORDS.search(text)), Cause.PROPAGATING),
        (cause_of(text) is Cause.PROPAGATING, Cause.PROPAGATING),
        (recent and code in {400, 403} and bool(UNSEEN_WORDS.search(text)), Cause.PROPAGATING),
        (code == 409 and is_conflict(answer), Cause.CONFLICT),
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
        499: Cause.TRANSIENT,
        501: Cause.INVALID,
    }
    return by_code.get(code, Cause.TRANSIENT if code >= 500 else Cause.INVALID)


def is_rate(text: str) -> bool:
    """Whether it says that there were too many calls, rather than that something is used up."""
    return bool(RATE_REASONS.search(text) or RATE_WORDS.search(text))


def cause_of(text: str) -> Cause:
    """What a failure means that has no code: that of a revision."""
    # The grant is there, or what needs it would not have been begun.
    return Cause.PROPAGATING if SECRET_WORDS.search(text) else Cause.INVALID


def is_conflict(answer: Answer) -> bool:
    """Whether a 409 says that somebody was faster, rather than that it exists."""
    if EXISTS_WORDS.search(answer.text):
        return False
    return answer.status == "ABORTED" or bool(CONFLICT_WORDS.search(answer.text))


def is_disabled(error: Exception) -> bool:
    """Whether it says that the API is not enabled in the project."""
    answer = answer_of(error)
    return answer is not None and answer.code == 403 and bool(DISABLED_WORDS.search(answer.text))


def is_absent(error: Exception) -> bool:
    """Whether it says that there is no such thing."""
    answer = answer_of(error)
    return answer is not None and answer.code == 404


def message_of(error: BaseException) -> str:
    """What Google said, without the request it said it to."""
    text = str(getattr(error, "message", "") or error or type(error).__name__)
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text).strip()


def awaited(cause: Cause, said: str) -> str:
    """What is waited for, in words: `secretAccessor on orders-db-password`."""
    words = {
        Cause.PROPAGATING: propagating(said) or f"Google to know of it ({first_line(said)})",
        Cause.BUSY: "the end of another operation on it",
        Cause.THROTTLED: "Google to take more requests",
    }
    return words.get(cause, f"Google to answer ({first_line(said)})")


def propagating(said: str) -> str:
    """The grant, the account or the API that is not known everywhere yet; "" for neither."""
    secret = re.search(r"secrets/([\w-]+)", said)
    account = re.search(ACCOUNT, said)
    api = re.search(r"\b([a-z]+\.googleapis\.com)", said)
    if SECRET_WORDS.search(said) and secret:
        return f"secretAccessor on {secret[1]}"
    if DISABLED_WORDS.search(said):
        return f"the API {api[1]}" if api else "the API"
    if account:
        return f"{'serviceAccountUser on' if 'actAs' in said else 'the account'} {account[0]}"
    return ""


def first_line(text: str) -> str:
    """Its first line, shortened."""
    line = text.partition("\n")[0]
    return line if len(line) <= 120 else f"{line[:119]}…"

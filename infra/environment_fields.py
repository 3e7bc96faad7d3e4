"""The types of an environment's fields: what each takes, and what is said of what it does not."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

RESERVED_VARIABLES = {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}
VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DURATION_PATTERN = re.compile(r"(?:(?P<minutes>\d{1,3})m)?(?:(?P<seconds>\d{1,5})s?)?")
# RFC 3986, 3.3 and 3.4: what a path and its query are written with.
URL_PATH_PATTERN = re.compile(r"/[\w.~!$&'()*+,;=:@%/?-]*", re.ASCII)
MEMBER_PATTERN = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(user|group|serviceAccount):[^\s:@]+@[^\s:@]+\.[^\s:@]+"
    r"|domain:[^\s:@]+\.[^\s:@]+"
    r"|(principal|principalSet)://\S+"
)


class Section(BaseModel):
    """A group of fields; one it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def fault(message: str, at: str = "", **values: object) -> PydanticCustomError:
    """A fault in our own words; `at` is the field, where it is one of several."""
    return PydanticCustomError("wrong", message, {"at": at, **values})


def matching(pattern: str, what: str) -> AfterValidator:
    """Takes text of the pattern; `what` says what it has to be."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise fault("must be {what} (got {got})", what=what, got=repr(text))
        return text

    return AfterValidator(check)


def as_text(value: object) -> object:
    """A number written without quotes, as the text that was meant."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def as_seconds(value: object) -> object:
    """A time as people write it, `90`, `60s`, `2m` or `1m30s`, in seconds."""
    if not isinstance(value, str):
        return value
    found = DURATION_PATTERN.fullmatch(value)
    if not value or found is None:
        raise fault("must be a time like 90s or 2m (got {got})", got=repr(value))
    return int(found["minutes"] or 0) * 60 + int(found["seconds"] or 0)


def check_url_path(path: str) -> str:
    """The path of a request, with its query if there is one."""
    if not URL_PATH_PATTERN.fullmatch(path):
        raise fault("must be a path like /items?size=1 (got {got})", got=repr(path))
    return path


def check_variable(name: str) -> str:
    """The name of an environment variable that is the service's to set."""
    if not VARIABLE_PATTERN.fullmatch(name):
        raise fault("{name} can't be the name of an environment variable", name=repr(name))
    if name in RESERVED_VARIABLES:
        raise fault("{name} is set by Cloud Run itself", name=name)
    return name


def check_member(member: str) -> str:
    """A member of an IAM policy."""
    if not MEMBER_PATTERN.fullmatch(member):
        raise fault(
            "must be allUsers, allAuthenticatedUsers, user:EMAIL, group:EMAIL, "
            "serviceAccount:EMAIL, domain:DOMAIN, principal://… or principalSet://… (got {got})",
            got=repr(member),
        )
    return member


type ProjectId = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "a project's id: 6 to 30 lowercase letters, digits and hyphens, beginning with a letter",
    ),
]
type Region = Annotated[str, matching(r"[a-z]+-[a-z]+[0-9]{1,2}", "a region, like europe-west1")]
type AccountEmail = Annotated[
    str,
    matching(
        r"[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com",
        "a service account, like deployer@my-project.iam.gserviceaccount.com",
    ),
]
type ServiceName = Annotated[
    str,
    matching(
        r"(?=.{2,22}$)[a-z](?:-?[a-z0-9])+",
        "2 to 22 lowercase letters, digits and single hyphens, beginning with a letter",
    ),
]
type Cpu = Annotated[
    str,
    BeforeValidator(as_text),
    matching(r"1|2|4|6|8|0\.[0-9]+", "1, 2, 4, 6 or 8, or a part of one from 0.08, like 0.5"),
]
type Memory = Annotated[str, matching(r"[1-9][0-9]*(Mi|Gi)", "an amount like 512Mi or 2Gi")]
type Variable = Annotated[str, AfterValidator(check_variable)]
type SecretName = Annotated[
    str, matching(r"[A-Za-z0-9_-]{1,255}", "a secret's name: letters, digits, - and _")
]
type Member = Annotated[str, AfterValidator(check_member)]
type SqlName = Annotated[
    str, matching(r"[a-z_][a-z0-9_-]{0,62}", "lowercase letters, digits, _ and -, at most 63")
]
type Channel = Annotated[
    str,
    BeforeValidator(as_text),
    matching(
        r"(projects/[a-z][a-z0-9-]+/notificationChannels/)?[0-9]+",
        "a notification channel: its number, or projects/PROJECT/notificationChannels/NUMBER",
    ),
]
type Percent = Annotated[int, Field(ge=1, le=99)]
type Seconds = Annotated[int, BeforeValidator(as_seconds), Field(ge=0, le=3600)]
type UrlPath = Annotated[str, AfterValidator(check_url_path)]
type Status = Annotated[int, Field(ge=200, le=599)]
type Text = Annotated[str, StringConstraints(min_length=1)]

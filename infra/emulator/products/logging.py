"""Cloud Logging v2: write entries, and find them again."""

import re
from typing import Any

from google.cloud.logging_v2.types import (
    ListLogEntriesRequest,
    ListLogsRequest,
    WriteLogEntriesRequest,
)

from infra.emulator import entries, errors, filters, iam, messages, pages, projects, services
from infra.emulator.api import Api, Call
from infra.emulator.world import Document

_METHOD = "google.logging.v2.LoggingServiceV2"
_LOG_NAME = re.compile(r"projects/(?P<project>[^/]+)/logs/[^/]+")
_MOST_AT_ONCE = 1000

api = Api("logging", prefix="/logging")


@api.route(
    "POST",
    "/v2/entries:write",
    name=f"{_METHOD}.WriteLogEntries",
    request=WriteLogEntriesRequest,
    body="*",
)
def write_log_entries(call: Call[WriteLogEntriesRequest]) -> Document:
    """Keeps entries; what they have in common may be given once."""
    request: Document = messages.dump(call.request)
    if len(request.get("entries", ())) > _MOST_AT_ONCE:
        raise errors.invalid(f"At most {_MOST_AT_ONCE} entries can be written.", "entries")
    written: list[Document] = []
    for entry in request.get("entries", ()):
        full: Document = {
            **{key: request[key] for key in ("logName", "resource") if key in request},
            **entry,
        }
        if labels := {**request.get("labels", {}), **entry.get("labels", {})}:
            full["labels"] = labels
        project = _project(call, full)
        call.require("logging.logEntries.create", f"projects/{project}")
        full["logName"] = re.sub("^projects/[^/]+", f"projects/{project}", full["logName"])
        written.append(full)
    if not request.get("dryRun"):
        entries.write(call.world, written)
    return {}


@api.route(
    "POST",
    "/v2/entries:list",
    name=f"{_METHOD}.ListLogEntries",
    request=ListLogEntriesRequest,
    body="*",
)
def list_log_entries(call: Call[ListLogEntriesRequest]) -> Document:
    """Finds entries of projects by a filter, by time."""
    request = call.request
    names = list(request.resource_names)
    if not names:
        raise errors.invalid("The resource names are required.", "resource_names")
    newest_first = _newest_first(request.order_by)
    matches, since = filters.parse(request.filter), filters.since(request.filter)
    found: list[Document] = []
    for name in dict.fromkeys(names):
        if not name.startswith("projects/"):
            raise errors.invalid(f"The emulator has no log of {name}.", "resource_names")
        project = _enabled(call, name.split("/")[1])
        call.require("logging.logEntries.list", f"projects/{project}")
        kept = entries.read(call.world, project, since, newest_first=newest_first)
        found += filter(matches, kept)
    if len(names) > 1:
        found.sort(key=lambda entry: str(entry["timestamp"]), reverse=newest_first)
    some, token = pages.page(found, request.page_size, request.page_token, default=50)
    answer: Document = {"entries": list(some)} if some else {}
    if token:
        answer["nextPageToken"] = token
    return answer


@api.route(
    "GET",
    "/v2/{parent=projects/*}/logs",
    name=f"{_METHOD}.ListLogs",
    request=ListLogsRequest,
    permission="logging.logs.list",
)
def list_logs(call: Call[ListLogsRequest]) -> Document:
    """The names of the logs that have entries."""
    project = iam.project_of(call.request.parent)
    names = sorted({entry["logName"] for entry in entries.read(call.world, project)})
    some, token = pages.page(names, call.request.page_size, call.request.page_token)
    return {"logNames": list(some), **({"nextPageToken": token} if token else {})}


for _verb, _uri, _name in (
    ("DELETE", "/v2/{log_name=projects/*/logs/*}", "DeleteLog"),
    ("POST", "/v2/entries:tail", "TailLogEntries"),
    ("POST", "/v2/entries:copy", "CopyLogEntries"),
    ("GET", "/v2/monitoredResourceDescriptors", "ListMonitoredResourceDescriptors"),
    ("GET", "/v2/{parent=projects/*}/sinks", "ListSinks"),
    ("POST", "/v2/{parent=projects/*}/sinks", "CreateSink"),
    ("GET", "/v2/{parent=projects/*}/metrics", "ListLogMetrics"),
    ("POST", "/v2/{parent=projects/*}/metrics", "CreateLogMetric"),
    ("GET", "/v2/{parent=projects/*/locations/*}/buckets", "ListBuckets"),
):
    api.known(_verb, _uri, f"{_METHOD}.{_name}")


def _project(call: Call[Any], entry: Document) -> str:
    name = _LOG_NAME.fullmatch(entry.get("logName", ""))
    if name is None:
        raise errors.invalid(f"Invalid log name '{entry.get('logName', '')}'.", "log_name")
    if not entry.get("resource", {}).get("type"):
        raise errors.invalid("The monitored resource is required.", "resource.type")
    return _enabled(call, name["project"])


def _enabled(call: Call[Any], id_or_number: str) -> str:
    project = projects.find(call.world, id_or_number).id
    services.require(call.world, api.service, project)
    return project


def _newest_first(order_by: str) -> bool:
    if order_by in ("", "timestamp", "timestamp asc"):
        return False
    if order_by == "timestamp desc":
        return True
    raise errors.invalid(f"Invalid order: '{order_by}'.", "order_by")

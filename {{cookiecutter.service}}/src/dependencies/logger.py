"""Structured logs in Cloud Logging's field names, or text on a terminal.

Log a dict: `logger.info({"message": "item created", "id": id})`. The request,
its trace and its span are added to every line by themselves.
Fields: Google Cloud, "Structured logging", special fields in JSON payloads.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Annotated, Any, TextIO, override

from fastapi import Depends
from opentelemetry.trace import (
    format_span_id,
    format_trace_id,
    get_current_span,
)
from pydantic_core import to_json

from src.dependencies.config import Settings
from src.dependencies.redaction import RedactingFormatter, secrets_of

SEVERITIES = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEFAULT"}

# What every record has, and uvicorn's text for a terminal.
STANDARD = logging.makeLogRecord({}).__dict__.keys() | {
    "color_message",
    "message",
    "taskName",
}

logger = logging.getLogger("src")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


async def get_logger() -> logging.Logger:
    """The service's logger."""
    return logger


Logger = Annotated[logging.Logger, Depends(get_logger)]


class CloudFormatter(logging.Formatter):
    """One JSON object a line, as Cloud Logging reads it."""

    def __init__(self, project: str | None) -> None:
        super().__init__()
        self.trace_prefix = f"projects/{project}/traces/" if project else ""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """The line: its own fields, then the special ones."""
        line = fields_of(record)
        line["severity"] = SEVERITIES.get(record.levelname, record.levelname)
        line["time"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        line["logger"] = record.name
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        self.add_context(line)
        try:
            return to_json(line, fallback=str, inf_nan_mode="strings").decode()
        except ValueError:
            # Half a surrogate pair, say, which is no UTF-8.
            return json.dumps(line, default=str)

    def add_context(self, line: dict[str, Any]) -> None:
        """Adds the request and the span that the line belongs to."""
        if (request := request_id.get()) is not None:
            line["request_id"] = request
        span = get_current_span().get_span_context()
        if span.is_valid:
            trace = self.trace_prefix + format_trace_id(span.trace_id)
            line["logging.googleapis.com/trace"] = trace
            line["logging.googleapis.com/spanId"] = format_span_id(span.span_id)
            sampled = span.trace_flags.sampled
            line["logging.googleapis.com/trace_sampled"] = sampled


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The dict that was logged, or the text, and what `extra` added."""
    if isinstance(record.msg, dict):
        fields = dict(record.msg)
    else:
        fields = {"message": record.getMessage()}
    for name in record.__dict__.keys() - STANDARD:
        fields[name] = record.__dict__[name]
    return fields


class TextFormatter(logging.Formatter):
    """A short line for a person: time, level, message, then the fields."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = dict(record.msg) if isinstance(record.msg, dict) else {}
        message = fields.pop("message", None) or (
            "" if fields else record.getMessage()
        )
        for structured in ("httpRequest", "migration"):
            fields.pop(structured, None)
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")
        details = " ".join(f"{key}={value}" for key, value in fields.items())
        words = "".join(map(visible, f"{message} {details}".rstrip()))
        line = f"{time[:-3]} {record.levelname:<8} {words}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def visible(character: str) -> str:
    """The character, or the escape of one that could forge a line or talk to
    the terminal."""
    return character if character.isprintable() else repr(character)[1:-1]


def configure_logging(settings: Settings) -> None:
    """Sends every logger of the process, uvicorn's too, to standard output."""
    handler = handler_of(settings, sys.stdout)
    omit_what_no_line_shows()
    logging.basicConfig(handlers=[handler], level="WARNING", force=True)
    logger.setLevel(settings.logger.level)
    logging.getLogger("uvicorn").setLevel("INFO")
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True


def handler_of(
    settings: Settings, stream: TextIO
) -> "logging.StreamHandler[TextIO]":
    """Writes lines to a stream as the settings have it, without secrets."""
    as_text = settings.logger.format == "text" or (
        settings.logger.format == "auto" and stream.isatty()
    )
    handler = logging.StreamHandler(stream)
    formatter = (
        TextFormatter()
        if as_text
        else CloudFormatter(settings.google_cloud_project)
    )
    handler.setFormatter(RedactingFormatter(formatter, secrets_of(settings)))
    return handler


def omit_what_no_line_shows() -> None:
    """Where a line was logged, and by which thread, process and task, costs
    more to find out than the line: Python, "Logging HOWTO", Optimization."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = False
    logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]

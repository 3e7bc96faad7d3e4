"""Structured logs in Cloud Logging's field names, or text on a terminal.

Log a dict: `logger.info({"message": "item created", "id": id})`. The request,
its trace and its span are added to every line by themselves.
Fields: Google Cloud, "Structured logging", special fields in JSON payloads.
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Annotated, Any, override

from fastapi import Depends
from opentelemetry.trace import (
    format_span_id,
    format_trace_id,
    get_current_span,
)
from pythonjsonlogger.json import JsonFormatter

from src.dependencies.config import Settings
from src.dependencies.redaction import RedactingFormatter, secrets_of

SEVERITIES = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEFAULT"}

logger = logging.getLogger("src")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def get_logger() -> logging.Logger:
    """The service's logger."""
    return logger


Logger = Annotated[logging.Logger, Depends(get_logger)]


class CloudFormatter(JsonFormatter):
    """One JSON object a line, as Cloud Logging reads it."""

    def __init__(self, project: str | None) -> None:
        super().__init__("%(message)s", json_ensure_ascii=False)
        self.project = project

    @override
    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Adds the special fields to the line's own."""
        super().add_fields(log_data, record, message_dict)
        name = record.levelname
        log_data["severity"] = SEVERITIES.get(name, name)
        log_data["time"] = datetime.fromtimestamp(record.created, UTC)
        log_data["logger"] = record.name
        log_data.pop("color_message", None)  # uvicorn's, for a terminal
        if trace := log_data.pop("exc_info", None):
            log_data["stack_trace"] = trace
        log_data |= self.context()

    def context(self) -> dict[str, Any]:
        """The request and the span that the line belongs to."""
        context: dict[str, Any] = {}
        if (request := request_id.get()) is not None:
            context["request_id"] = request
        span = get_current_span().get_span_context()
        if span.is_valid:
            trace = format_trace_id(span.trace_id)
            if self.project:
                trace = f"projects/{self.project}/traces/{trace}"
            prefix = "logging.googleapis.com"
            context[f"{prefix}/trace"] = trace
            context[f"{prefix}/spanId"] = format_span_id(span.span_id)
            context[f"{prefix}/trace_sampled"] = span.trace_flags.sampled
        return context


class TextFormatter(logging.Formatter):
    """A short line for a person: time, level, message, then the fields."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = dict(record.msg) if isinstance(record.msg, dict) else {}
        message = fields.pop("message", None) or (
            "" if fields else record.getMessage()
        )
        fields.pop("httpRequest", None)
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
    as_text = settings.logger.format == "text" or (
        settings.logger.format == "auto" and sys.stdout.isatty()
    )
    handler = logging.StreamHandler(sys.stdout)
    formatter = (
        TextFormatter()
        if as_text
        else CloudFormatter(settings.google_cloud_project)
    )
    handler.setFormatter(RedactingFormatter(formatter, secrets_of(settings)))
    logging.basicConfig(handlers=[handler], level="WARNING", force=True)
    logger.setLevel(settings.logger.level)
    logging.getLogger("uvicorn").setLevel("INFO")
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True

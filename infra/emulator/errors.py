"""Errors as Google's APIs answer them (google.rpc.Status over HTTP; google.aip.dev/193)."""

from typing import Any

# google.rpc.Code, and the HTTP status that google/rpc/code.proto maps it to.
CODES = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}

# The older JSON APIs (Storage, Cloud SQL) name the reason of an error in a list beside the message.
_OLD_REASONS = {
    304: "notModified",
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    501: "notImplemented",
}


class GoogleError(Exception):
    """An answer that is an error: `status` is google.rpc.Code's name, `status_code` HTTP's."""

    def __init__(
        self,
        status_code: int,
        status: str,
        message: str,
        reason: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """`reason` and `metadata` make a google.rpc.ErrorInfo; more can be added to `details`."""
        super().__init__(message)
        self.status_code = status_code
        self.status = status
        self.message = message
        self.reason = reason
        self.metadata = metadata or {}
        self.details: list[dict[str, Any]] = []

    @property
    def code(self) -> int:
        """google.rpc.Code as a number, as it stands in an operation's error."""
        return CODES.get(self.status, CODES["UNKNOWN"])[0]

    def to_json(self, *, old: bool = False) -> dict[str, Any]:
        """Returns the body of the answer; `old` in the shape of Storage and Cloud SQL."""
        error: dict[str, Any] = {"code": self.status_code, "message": self.message}
        if old:
            entry = {"message": self.message, "domain": "global", "reason": self._old_reason()}
            error["errors"] = [entry]
        else:
            error["status"] = self.status
        if details := self._details():
            error["details"] = details
        return {"error": error}

    def to_status(self) -> dict[str, Any]:
        """Returns a google.rpc.Status, as it stands in an operation."""
        status: dict[str, Any] = {"code": self.code, "message": self.message}
        if details := self._details():
            status["details"] = details
        return status

    def _old_reason(self) -> str:
        if self.reason and not self.reason.isupper():
            return self.reason
        if self.reason == "SERVICE_DISABLED":
            return "accessNotConfigured"
        return _OLD_REASONS.get(self.status_code, "backendError")

    def _details(self) -> list[dict[str, Any]]:
        if self.reason is None or not self.reason.isupper():
            return self.details
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.reason,
            "domain": "googleapis.com",
            "metadata": self.metadata,
        }
        return [info, *self.details]


def error(status: str, message: str, reason: str | None = None, **metadata: str) -> GoogleError:
    """Returns an error by google.rpc.Code's name."""
    return GoogleError(CODES[status][1], status, message, reason, metadata)


def not_found(message: str) -> GoogleError:
    """404 NOT_FOUND."""
    return error("NOT_FOUND", message)


def already_exists(message: str) -> GoogleError:
    """409 ALREADY_EXISTS."""
    return error("ALREADY_EXISTS", message)


def aborted(message: str) -> GoogleError:
    """409 ABORTED: somebody else was faster; read again and redo."""
    return error("ABORTED", message)


def precondition(message: str) -> GoogleError:
    """400 FAILED_PRECONDITION."""
    return error("FAILED_PRECONDITION", message)


def invalid(message: str, field: str = "") -> GoogleError:
    """400 INVALID_ARGUMENT, naming the field as google.rpc.BadRequest does."""
    failure = error("INVALID_ARGUMENT", message)
    if field:
        violation = {"field": field, "description": message}
        bad_request = "type.googleapis.com/google.rpc.BadRequest"
        failure.details.append({"@type": bad_request, "fieldViolations": [violation]})
    return failure


def denied(permission: str, resource: str) -> GoogleError:
    """403 PERMISSION_DENIED, in IAM's words."""
    return error(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
        "IAM_PERMISSION_DENIED",
        permission=permission,
        resource=resource,
    )


def service_disabled(service: str, title: str, project: str) -> GoogleError:
    """403 PERMISSION_DENIED with the reason SERVICE_DISABLED, in Service Usage's words."""
    link = f"https://console.developers.google.com/apis/api/{service}/overview?project={project}"
    failure = error(
        "PERMISSION_DENIED",
        f"{title} has not been used in project {project} before or it is disabled. Enable it by"
        f" visiting {link} then retry. If you enabled this API recently, wait a few minutes for"
        " the action to propagate to our systems and retry.",
        "SERVICE_DISABLED",
        service=service,
        consumer=f"projects/{project}",
        serviceTitle=title,
        containerInfo=project,
        activationUrl=link,
    )
    failure.details.append(
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{"description": "Google developers console API activation", "url": link}],
        }
    )
    return failure


def unimplemented(method: str) -> GoogleError:
    """501 UNIMPLEMENTED, naming the method."""
    return error("UNIMPLEMENTED", f"The emulator does not implement {method}.")

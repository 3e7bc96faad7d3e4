"""The errors a caller may see: each has a status and a message for them."""

from collections.abc import Mapping


class BaseError(Exception):
    """An error with its HTTP status. Raise a subclass from any layer."""

    headers: Mapping[str, str] | None = None

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code

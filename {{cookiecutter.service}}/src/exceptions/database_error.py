"""The database's own troubles, as a caller sees them."""

from src.exceptions.base_error import BaseError

RETRY_SECONDS = 5


class DatabaseUnavailableError(BaseError):
    """The database does not answer, or not in time."""

    headers = {"Retry-After": str(RETRY_SECONDS)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__("The database does not answer", 503)

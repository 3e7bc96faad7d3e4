"""The database's own troubles, as a caller sees them."""

from src.exceptions.base_error import BaseError


class DatabaseUnavailableError(BaseError):
    """The database does not answer."""

    def __init__(self) -> None:
        super().__init__("The database does not answer", 503)

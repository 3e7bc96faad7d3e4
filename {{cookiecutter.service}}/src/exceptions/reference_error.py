"""What can go wrong with rows that refer to each other."""

from src.exceptions.base_error import BaseError


class StillReferencedError(BaseError):
    """Others refer to what is to be deleted."""

    def __init__(self) -> None:
        super().__init__("Others still refer to it", 409)

"""Whether the service can do its work."""

from typing import Annotated

from fastapi import Depends

from src.repositories import HealthRepository


class HealthService:
    """The service's readiness."""

    def __init__(
        self, repository: Annotated[HealthRepository, Depends()]
    ) -> None:
        self.repository = repository

    async def check(self) -> None:
        """Returns when requests can be served. Raises
        DatabaseUnavailableError."""
        await self.repository.check()

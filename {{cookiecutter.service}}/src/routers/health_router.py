"""The probes: `/health` asks whether to send requests here, `/live` whether
to restart the process."""

from typing import Annotated

from fastapi import APIRouter, Depends

from src.schemas import Response, errors
from src.services import HealthService

router = APIRouter(tags=["health"])


@router.get("/health", responses=errors(503))
async def health(
    service: Annotated[HealthService, Depends()],
) -> Response[None]:
    """Ready: the database answers."""
    await service.check()
    return Response(message="Ready", data=None)


@router.get("/live", responses=errors())
async def live() -> Response[None]:
    """Alive: the process answers, whatever the database does."""
    return Response(message="Alive", data=None)

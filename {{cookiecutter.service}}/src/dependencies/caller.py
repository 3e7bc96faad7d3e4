"""Who calls. `caller: Caller` gives an endpoint the identity that a bearer
token proves, or None where the environment names no issuer: there Cloud Run's
IAM alone decides who comes through.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from httpx import AsyncClient

from src.dependencies.config import AuthSettings

if TYPE_CHECKING:
    from src.dependencies.token_verifier import TokenVerifier


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller, and what else the issuer says of it."""

    subject: str
    claims: Mapping[str, Any] = field(repr=False)


@asynccontextmanager
async def verification(
    settings: AuthSettings, client: AsyncClient
) -> AsyncIterator["TokenVerifier | None"]:
    """The process's verifier, None where there is no issuer to trust."""
    if settings.issuer is None:
        yield None
        return
    # Cryptography takes its time to import: only where it is needed.
    from src.dependencies.issuer_keys import IssuerKeys
    from src.dependencies.token_verifier import TokenVerifier

    async with IssuerKeys(settings, client) as keys:
        yield TokenVerifier(settings, keys)


async def get_caller(request: Request) -> Identity | None:
    """The request's caller. Raises UnauthenticatedError, and
    IssuerUnavailableError when no token can be verified."""
    verifier: TokenVerifier | None = request.app.state.verifier
    if verifier is None:
        return None
    identity = await verifier.identify(request.headers.getlist("authorization"))
    request.scope["caller"] = identity.subject  # for the request's log line
    return identity


Caller = Annotated[Identity | None, Depends(get_caller)]


class CallerNeeded(SecurityBase):
    """Lets nobody in without a token, and says so in the OpenAPI document."""

    def __init__(self) -> None:
        self.scheme_name = "token"
        self.model = HTTPBearer(bearerFormat="JWT")

    async def __call__(self, caller: Caller) -> None:
        """What `Caller` asks for is all there is to do."""


caller_needed = CallerNeeded()

"""Verifies bearer tokens: JSON Web Tokens (RFC 7519, 8725) of the one issuer
that the environment trusts. Imported only where there is one."""

import re
from collections.abc import Sequence

import jwt

from src.dependencies.caller import Identity
from src.dependencies.config import AuthSettings
from src.dependencies.issuer_keys import IssuerKeys
from src.exceptions import UnauthenticatedError

MAX_LENGTH = 16_384
MAX_SUBJECT_LENGTH = 255  # OpenID Connect Core 1.0, section 2
BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)

# Cloud Run's IAM puts this in place of the signature of a token it checked.
REMOVED = ".SIGNATURE_REMOVED_BY_GOOGLE"

# What a caller who can mend it is told; of the rest only that it is wrong.
REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "The token has expired",
    jwt.ImmatureSignatureError: "The token is not valid yet",
    jwt.InvalidAudienceError: "The token is for another audience",
    jwt.InvalidIssuerError: "The token is of another issuer",
}


class TokenVerifier:
    """Tells from a request's Authorization headers who sent it."""

    def __init__(self, settings: AuthSettings, keys: IssuerKeys) -> None:
        self._settings = settings
        self._keys = keys

    async def identify(self, authorization: Sequence[str]) -> Identity:
        """The caller. Raises UnauthenticatedError, and IssuerUnavailableError
        when there is no key to verify any token with."""
        token = bearer_token(authorization)
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid"), header.get("alg"))
            claims = jwt.decode(
                token,
                key,
                algorithms=self._settings.algorithms,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.PyJWTError as error:
            reason = REASONS.get(type(error), "The token is not valid")
            raise refused(reason) from None
        subject = claims["sub"]
        if not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
            raise refused("The token names no caller")
        return Identity(subject, claims)

    async def _key(self, id: str | None, algorithm: object) -> jwt.PyJWK:
        """The key that the token says it is signed with."""
        if algorithm not in self._settings.algorithms:
            raise refused("The token's algorithm is not taken")
        key = await self._keys.get(id, str(algorithm))
        if key is None:
            raise refused("The token's key is none of the issuer's")
        return key


def bearer_token(authorization: Sequence[str]) -> str:
    """The one token of a request. Raises UnauthenticatedError."""
    if not authorization:
        raise UnauthenticatedError("A bearer token is needed")
    if len(authorization) > 1:
        raise UnauthenticatedError(
            "There is more than one Authorization header", "invalid_request"
        )
    found = BEARER.fullmatch(authorization[0])
    if found is None or len(found[1]) > MAX_LENGTH:
        raise refused("The token is not valid")
    if found[1].endswith(REMOVED):
        raise refused("Cloud Run's IAM has taken the token's signature off")
    return found[1]


def refused(reason: str) -> UnauthenticatedError:
    """The answer to a token that proves nothing."""
    return UnauthenticatedError(reason, "invalid_token")

"""Why a caller is not let in."""

from src.exceptions.base_error import BaseError


class UnauthenticatedError(BaseError):
    """Who calls could not be verified. The fault is RFC 6750's word for it;
    a request without a token has none."""

    def __init__(self, message: str, fault: str | None = None) -> None:
        super().__init__(message, 401)
        challenge = f'Bearer error="{fault}"' if fault else "Bearer"
        self.headers = {"WWW-Authenticate": challenge}


class IssuerUnavailableError(BaseError):
    """Nobody's token can be verified: there are no keys to do it with."""

    def __init__(self, retry_seconds: float) -> None:
        super().__init__("The issuer of tokens does not answer", 503)
        self.headers = {"Retry-After": f"{max(1, round(retry_seconds))}"}

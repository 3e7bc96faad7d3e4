"""The rules that settings of trust follow, beyond their types. Each is about
what would be unsafe, and says so at the start."""

import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

if TYPE_CHECKING:
    from src.dependencies.config import Settings

THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
ORIGIN = re.compile(r"\*|https?://[^/\s]+")


def trusted_url(url: str) -> str:
    """The URL, when nobody can change on the way what it answers. Raises
    ValueError."""
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and parts.hostname in THIS_MACHINE
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise ValueError("must be an https URL")
    return url


def origin(text: str) -> str:
    """The origin as a browser sends it (RFC 6454). Raises ValueError."""
    if not ORIGIN.fullmatch(text):
        raise ValueError("must be * or scheme://host[:port], without a path")
    return text


type TrustedUrl = Annotated[str, AfterValidator(trusted_url)]
type Origin = Annotated[str, AfterValidator(origin)]
# Only those with a public key: "none" proves nothing, and with HMAC whoever
# can verify a token could make one.
type Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


def broken_rules(settings: "Settings") -> list[str]:
    """A line for each rule that two settings break together."""
    auth, cors = settings.auth, settings.cors
    found: list[str] = []
    if auth.issuer and not auth.audience:
        found.append(
            "auth.audience: it is needed with auth.issuer, or a token for "
            "any other service would be taken too: set AUTH__AUDIENCE"
        )
    if not auth.issuer and (auth.audience or auth.keys_url):
        found.append(
            "auth.issuer: it is needed with auth.audience and auth.keys_url, "
            "or nobody would be asked for a token: set AUTH__ISSUER"
        )
    if cors.credentials and "*" in cors.origins:
        found.append(
            "cors.origins: * is refused with cors.credentials: any site "
            "could call in its visitors' name: list the origins"
        )
    return found

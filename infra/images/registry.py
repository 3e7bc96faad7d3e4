"""Asks a registry which digest a tag has now: a HEAD, with a token for anybody where one is wanted.

Sources: OCI Distribution Specification 1.1, "Pulling manifests"; Docker, "Token authentication".
No credentials are sent: what needs a login, Docker asks (infra/images/docker.py).
"""

import re
from hashlib import sha256

import httpx

from infra.images.reference import DIGEST, LATEST, Reference

SECONDS = 30.0
# An index before a single platform's manifest: one digest for every processor.
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """The registry does not say what a tag is; the text says why."""


def digest(image: Reference, registry: str) -> str:
    """The digest that the image's tag has in the registry now. Raises RegistryError."""
    scheme = "http" if LOOPBACK.fullmatch(registry) else "https"
    url = f"{scheme}://{registry}/v2/{image.path}/manifests/{image.tag or LATEST}"
    headers = {"accept": MANIFESTS}
    try:
        with httpx.Client(timeout=SECONDS, follow_redirects=True) as client:
            answer = client.head(url, headers=headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                challenge = answer.headers.get("www-authenticate", "")
                headers["authorization"] = f"Bearer {token(client, challenge, scheme)}"
                answer = client.head(url, headers=headers)
            answer = checked(answer, image, registry)
            found: str = answer.headers.get("docker-content-digest", "")
            if not found:
                body = checked(client.get(url, headers=headers), image, registry).content
                found = f"sha256:{sha256(body).hexdigest()}"
    except httpx.HTTPError as error:
        raise RegistryError(f"{registry} could not be asked for {image.tagged}: {error}") from error
    if not DIGEST.fullmatch(found):
        raise RegistryError(f"{registry} gives {image.tagged} the digest {found!r}, which is none")
    return found


def token(client: httpx.Client, challenge: str, scheme: str) -> str:
    """A token for whoever asks, from where the registry's refusal says."""
    kind, _, rest = challenge.partition(" ")
    given = dict(PARAMETER.findall(rest))
    realm = given.pop("realm", "")
    if kind.lower() != "bearer" or not realm.startswith(("https://", f"{scheme}://")):
        raise RegistryError(f"the registry wants a login that we do not have: {challenge!r}")
    query = {key: given[key] for key in ("service", "scope") if key in given}
    answer = client.get(realm, params=query)
    try:
        said = answer.raise_for_status().json()
        value = said.get("token") or said["access_token"]
    except (httpx.HTTPStatusError, ValueError, KeyError, AttributeError) as error:
        raise RegistryError(f"{realm} gives nobody a token: {error}") from error
    return str(value)


def checked(answer: httpx.Response, image: Reference, registry: str) -> httpx.Response:
    """The answer, if it is one. Raises RegistryError."""
    match answer.status_code:
        case httpx.codes.OK:
            return answer
        case httpx.codes.NOT_FOUND:
            why = "there is no such image"
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            why = "it wants a login (docker login, then without --registry)"
        case code:
            why = f"it answers {code}"
    raise RegistryError(f"{registry}: {image.tagged}: {why}")

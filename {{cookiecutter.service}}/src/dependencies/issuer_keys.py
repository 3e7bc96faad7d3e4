"""The issuer's public keys: fetched when first needed, kept, and kept on when
the issuer is away. However many requests wait, one fetch is under way."""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Self

from httpx import AsyncClient, HTTPError
from jwt import PyJWK, PyJWTError

from src.dependencies.config import AuthSettings
from src.dependencies.logger import logger
from src.dependencies.setting_rules import trusted_url
from src.exceptions import IssuerUnavailableError

FETCH_SECONDS = 5
KINDS = {"RSA", "EC", "OKP"}

type Keys = dict[tuple[str | None, str], PyJWK]


class IssuerKeys:
    """Keys by their id and the algorithm that a token may use them with."""

    def __init__(
        self,
        settings: AuthSettings,
        client: AsyncClient,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._keys: Keys = {}
        self._fetched = self._tried = float("-inf")
        self._one_at_a_time = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Leaves no fetch behind."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def get(self, id: str | None, algorithm: str) -> PyJWK | None:
        """The key, or None when the issuer has no such one.

        An id that is not known may be new, so it is asked for; but only so
        often, since anybody can make one up. Raises IssuerUnavailableError
        when no key was ever had.
        """
        key = self._find(id, algorithm)
        if key is None:
            await self._refresh()
            key = self._find(id, algorithm)
            if not self._keys:
                raise IssuerUnavailableError(self._settings.keys_pause_seconds)
        elif self._is_old() and self._may_try():
            self._refresh_meanwhile()
        return key

    def _find(self, id: str | None, algorithm: str) -> PyJWK | None:
        """A token may leave out the id where it is plain which key is meant."""
        if id is not None:
            return self._keys.get((id, algorithm))
        fitting = [
            key for (_, of), key in self._keys.items() if of == algorithm
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _is_old(self) -> bool:
        age = self._clock() - self._fetched
        return age >= self._settings.keys_age_seconds

    def _may_try(self) -> bool:
        pause = self._clock() - self._tried
        return pause >= self._settings.keys_pause_seconds

    def _refresh_meanwhile(self) -> None:
        """Fetches while requests go on with the keys that are there."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        """Fetches, unless that has just been tried."""
        async with self._one_at_a_time:
            if not self._may_try():
                return
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    self._keys = await self._fetch()
                self._fetched = self._clock()
            except (HTTPError, TimeoutError, ValueError) as error:
                logger.warning(
                    {
                        "message": "the issuer's keys cannot be had",
                        "issuer": self._settings.issuer,
                        "cause": f"{type(error).__name__}: {error}",
                        "keys_kept": len(self._keys),
                    }
                )
            finally:
                self._tried = self._clock()

    async def _fetch(self) -> Keys:
        """The keys that the issuer has now. Raises HTTPError, or ValueError
        when the answer is none."""
        document = await self._read(await self._url())
        listed = document.get("keys")
        keys = usable(
            listed if isinstance(listed, list) else [],
            self._settings.algorithms,
        )
        if not keys:
            raise ValueError("there is no key of a kind that is taken")
        return keys

    async def _url(self) -> str:
        """Where the keys are (OpenID Connect Discovery 1.0, section 4)."""
        if self._settings.keys_url is not None:
            return self._settings.keys_url
        issuer = self._settings.issuer or ""
        base = issuer.removesuffix("/")
        found = await self._read(f"{base}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ValueError("the discovery document is another issuer's")
        return trusted_url(str(found.get("jwks_uri")))

    async def _read(self, url: str) -> dict[str, Any]:
        answer = await self._client.get(url)
        document = answer.raise_for_status().json()
        if not isinstance(document, dict):
            raise ValueError(f"{url} is no JSON object")
        return document


def usable(listed: Iterable[Any], algorithms: Iterable[str]) -> Keys:
    """The keys of a JWK set (RFC 7517) that may verify a token, each with
    every algorithm it fits; those that we can't read are left out."""
    keys: Keys = {}
    for data in listed:
        if not isinstance(data, dict) or data.get("kty") not in KINDS:
            continue
        if data.get("use", "sig") != "sig":
            continue
        for algorithm in algorithms:
            if data.get("alg", algorithm) != algorithm:
                continue
            try:
                key = PyJWK(data, algorithm)
            except (PyJWTError, ValueError, TypeError):
                continue
            keys[data.get("kid"), algorithm] = key
    return keys

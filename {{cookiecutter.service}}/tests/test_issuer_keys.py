"""The issuer's keys: fetched once, kept while it is away, changed with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from src.dependencies.config import AuthSettings, HttpClientSettings, Settings
from src.dependencies.http_client import create_http_client
from src.dependencies.issuer_keys import IssuerKeys
from src.exceptions import IssuerUnavailableError
from tests import issuer as issuers
from tests.issuer import AUDIENCE, DISCOVERY, Issuer, other_rsa


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens."""
    with issuers.serving() as issuer:
        yield issuer


@pytest.fixture
def clock() -> Clock:
    """The clock of the keys."""
    return Clock()


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks once, so that it can be counted."""
    once = HttpClientSettings(attempts=1)
    chosen = settings.model_copy(update={"http_client": once})
    async with create_http_client(chosen) as client:
        yield client


@pytest.fixture
async def keys(
    issuer: Issuer, client: httpx.AsyncClient, clock: Clock
) -> AsyncIterator[IssuerKeys]:
    """The keys, of which none has been asked for."""
    settings = AuthSettings(issuer=issuer.url, audience=AUDIENCE)
    async with IssuerKeys(settings, client, clock) as keys:
        yield keys


async def fetched(issuer: Issuer, keys: IssuerKeys, times: int) -> None:
    """Returns when the issuer was asked so often, and has answered."""
    assert await asyncio.to_thread(
        issuer.wait_for, lambda: issuer.asked[DISCOVERY] == times
    )
    # An unknown id waits for the fetch that is under way.
    assert await keys.get("unknown", "RS256") is None
    assert issuer.asked[DISCOVERY] == times


async def test_however_many_ask_one_fetch_is_made(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    found = await asyncio.gather(
        *(keys.get("rsa", "RS256") for _ in range(100))
    )
    assert all(found)
    assert issuer.asked == {DISCOVERY: 1, "/keys": 1}


async def test_ids_that_are_made_up_are_asked_for_once_in_a_while(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    for number in range(100):
        assert await keys.get(f"made-up-{number}", "RS256") is None
    assert issuer.asked["/keys"] == 1
    clock.now += 11
    await asyncio.gather(*(keys.get(f"{n}", "RS256") for n in range(100)))
    assert issuer.asked["/keys"] == 2


async def test_new_keys_replace_the_old(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    assert await keys.get("rsa", "RS256")
    issuer.keys = {"next": other_rsa()}
    clock.now += 11
    assert await keys.get("next", "RS256")
    assert await keys.get("rsa", "RS256") is None


async def test_a_key_that_was_withdrawn_is_gone_when_the_keys_are_old(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    assert await keys.get("rsa", "RS256")
    del issuer.keys["rsa"]
    clock.now += 301
    assert await keys.get("rsa", "RS256"), "nobody waits for the fetch"
    await fetched(issuer, keys, 2)
    assert await keys.get("rsa", "RS256") is None


async def test_keys_are_kept_while_the_issuer_is_away(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    assert await keys.get("rsa", "RS256")
    issuer.is_away = True
    for asked in (2, 3):
        clock.now += 301
        assert await keys.get("rsa", "RS256")
        await fetched(issuer, keys, asked)
        assert await keys.get("rsa", "RS256")


async def test_it_recovers_when_the_issuer_is_back(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    issuer.is_away = True
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError):
            await keys.get("rsa", "RS256")
    assert issuer.asked[DISCOVERY] == 1, "an issuer in need is left alone"
    issuer.is_away = False
    clock.now += 11
    assert await keys.get("rsa", "RS256")


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://else.example", "jwks_uri": "https://else.example"},
        {"jwks_uri": "http://keys.example"},
        {},
        [],
    ],
)
async def test_a_document_that_leads_elsewhere_is_not_followed(
    issuer: Issuer, keys: IssuerKeys, document: dict[str, str] | list[str]
) -> None:
    mine = {"issuer": issuer.url}
    wrong = mine | document if isinstance(document, dict) else document
    issuer.document = wrong  # type: ignore[assignment]
    with pytest.raises(IssuerUnavailableError):
        await keys.get("rsa", "RS256")
    assert issuer.asked["/keys"] == 0


async def test_a_key_fits_what_it_is_for(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    rsa, ec = (issuers.public(id, issuer.keys[id]) for id in ("rsa", "ec"))
    issuer.keys = {}
    issuer.more = [
        {**rsa, "kid": "for-encryption", "use": "enc"},
        {**rsa, "kid": "for-PS256", "alg": "PS256"},
        {"kty": "oct", "kid": "shared", "k": "AAAA"},
        {"kty": "RSA", "kid": "broken", "n": "AQ"},
        "no key at all",
        {**ec, "kid": "good"},
    ]
    assert await keys.get("good", "ES256")
    for id in ("for-encryption", "for-PS256", "shared", "broken", "good"):
        assert await keys.get(id, "RS256") is None


async def test_a_token_may_leave_out_which_key_where_there_is_one(
    issuer: Issuer, keys: IssuerKeys, clock: Clock
) -> None:
    assert await keys.get(None, "RS256")
    issuer.keys["another"] = other_rsa()
    clock.now += 11
    assert await keys.get("another", "RS256")
    assert await keys.get(None, "RS256") is None


async def test_where_the_keys_are_can_be_set(
    issuer: Issuer, client: httpx.AsyncClient
) -> None:
    settings = AuthSettings(
        issuer="https://else.example",
        audience=AUDIENCE,
        keys_url=f"{issuer.url}/keys",
    )
    async with IssuerKeys(settings, client) as keys:
        assert await keys.get("rsa", "RS256")
    assert issuer.asked == {"/keys": 1}

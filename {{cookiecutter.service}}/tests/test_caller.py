"""Who calls: verified where an issuer is configured, and nobody is let in by
an endpoint that forgot to ask."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import time

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient

from src.dependencies import Caller
from src.dependencies.config import AuthSettings, Settings
from src.main import create_app, lifespan
from src.routers import routers
from tests import issuer as issuers
from tests.issuer import AUDIENCE, Issuer, encoded, new_ec, other_rsa

router = APIRouter()


@router.get("/whoami")
async def whoami(caller: Caller) -> str | None:
    """Names the caller."""
    return caller.subject if caller else None


@router.get("/forgotten")
async def forgotten() -> str:
    """Does not ask who calls."""
    return "served"


@asynccontextmanager
async def calling(
    settings: Settings, auth: AuthSettings
) -> AsyncIterator[AsyncClient]:
    """A caller of the application with these rules."""
    chosen = settings.model_copy(update={"auth": auth})
    app: FastAPI = create_app(chosen, (*routers, router))
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with (
        lifespan(app),
        AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        yield client


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens."""
    with issuers.serving() as issuer:
        yield issuer


@pytest.fixture
async def client(
    settings: Settings, issuer: Issuer
) -> AsyncIterator[AsyncClient]:
    """A caller of an application that trusts the issuer."""
    auth = AuthSettings(issuer=issuer.url, audience=AUDIENCE)
    async with calling(settings, auth) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    """The header that brings a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("key", ["rsa", "ec"])
async def test_a_good_token_names_its_caller(
    client: AsyncClient, issuer: Issuer, key: str
) -> None:
    answer = await client.get("/whoami", headers=bearer(issuer.token(key)))
    assert (answer.status_code, answer.json()) == (200, "alice")


@pytest.mark.parametrize(
    "changes",
    [
        lambda: {"aud": ["another", AUDIENCE]},
        lambda: {"exp": int(time()) - 1},  # within the leeway
        lambda: {"nbf": int(time()) - 5},
    ],
)
async def test_what_a_token_may_say(
    client: AsyncClient,
    issuer: Issuer,
    changes: Callable[[], dict[str, object]],
) -> None:
    token = issuer.token("rsa", **changes())
    answer = await client.get("/whoami", headers=bearer(token))
    assert answer.status_code == 200, answer.text


REFUSED: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=int(time()) - 3600),
    "without an end": lambda issuer: issuer.token(exp=None),
    "not yet valid": lambda issuer: issuer.token(nbf=int(time()) + 3600),
    "of tomorrow": lambda issuer: issuer.token(iat=int(time()) + 86400),
    "for another": lambda issuer: issuer.token(aud="https://else.example"),
    "for nobody": lambda issuer: issuer.token(aud=None),
    "of another issuer": lambda issuer: issuer.token(iss="https://else"),
    "of no issuer": lambda issuer: issuer.token(iss=None),
    "of nobody": lambda issuer: issuer.token(sub=None),
    "of a number": lambda issuer: issuer.token(sub=7),
    "of a novel": lambda issuer: issuer.token(sub="x" * 256),
    "unsigned": lambda issuer: issuer.unsigned(),
    "HMAC": lambda issuer: issuer.signed_with_public_key(),
    "another's key": lambda issuer: issuer.signed(other_rsa(), {"kid": "rsa"}),
    "another's curve": lambda issuer: issuer.signed(new_ec(), {"kid": "ec"}),
    "the other kind": lambda issuer: issuer.signed(new_ec(), {"kid": "rsa"}),
    "unknown key": lambda issuer: issuer.signed(other_rsa(), {"kid": "new"}),
    "a key's number": lambda issuer: ".".join(
        [encoded({"alg": "RS256", "kid": 7}), encoded({}), "AAAA"]
    ),
    "its own key": lambda issuer: issuer.signed(
        other_rsa(), {"jwk": issuers.public("own", other_rsa())}
    ),
    "critical": lambda issuer: issuer.signed(
        issuer.keys["rsa"], {"kid": "rsa", "crit": ["x"], "x": 1}
    ),
    "cut off": lambda issuer: issuer.token()[:-2],
    "changed": lambda issuer: changed(issuer.token()),
    "IAM's": lambda issuer: (
        issuer.token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    ),
    "empty": lambda issuer: "",
    "dots": lambda issuer: "..",
    "text": lambda issuer: "not-a-token",
    "deep": lambda issuer: encoded_deep(),
    "huge": lambda issuer: issuer.token(more="x" * 20_000),
}


def changed(token: str) -> str:
    """The token with somebody else's name in it."""
    head, _, signature = token.split(".")
    return f"{head}.{encoded({'sub': 'bob'})}.{signature}"


def encoded_deep() -> str:
    """A token whose header is a thousand lists in each other."""
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    return f"{encoded({'alg': 'RS256', 'x': deep})}.{encoded({})}.AAAA"


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
async def test_a_token_that_proves_nothing_is_refused(
    client: AsyncClient, issuer: Issuer, make: Callable[[Issuer], str]
) -> None:
    token = make(issuer)
    answer = await client.get("/whoami", headers=bearer(token))
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge == 'Bearer error="invalid_token"'
    error = answer.json()
    assert (error["status_code"], error["data"]) == (401, None)
    assert not token or token not in error["message"]


async def test_without_a_token_nobody_is_told_more_than_to_bring_one(
    client: AsyncClient,
) -> None:
    answer = await client.get("/whoami")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["message"] == "A bearer token is needed"


async def test_another_scheme_is_refused(client: AsyncClient) -> None:
    answer = await client.get("/whoami", auth=("alice", "password"))
    assert answer.status_code == 401


async def test_two_headers_are_refused(
    client: AsyncClient, issuer: Issuer
) -> None:
    header = ("Authorization", f"Bearer {issuer.token()}")
    answer = await client.get("/whoami", headers=[header, header])
    assert answer.status_code == 401
    assert "invalid_request" in answer.headers["www-authenticate"]


async def test_a_forgotten_endpoint_is_closed_and_a_probe_open(
    client: AsyncClient, issuer: Issuer
) -> None:
    assert (await client.get("/forgotten")).status_code == 401
    answer = await client.get("/forgotten", headers=bearer(issuer.token()))
    assert answer.json() == "served"
    assert (await client.get("/live")).status_code == 200


async def test_the_log_names_the_caller(
    client: AsyncClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "src"):
        await client.get("/forgotten", headers=bearer(issuer.token()))
        await client.get("/forgotten")
    served, refused = [record.msg for record in caplog.records]
    assert isinstance(served, dict)
    assert (served["caller"], served["route"]) == ("alice", "/forgotten")
    assert "caller" not in refused


async def test_without_keys_nobody_can_be_verified(
    client: AsyncClient, issuer: Issuer
) -> None:
    issuer.is_away = True
    answer = await client.get("/whoami", headers=bearer(issuer.token()))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert (await client.get("/live")).status_code == 200


async def test_the_document_says_where_a_token_is_needed(
    client: AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["scheme"] == "bearer"
    closed = document["paths"]["/forgotten"]["get"]
    assert closed["security"] == [{"token": []}]
    assert {"401", "503"} <= closed["responses"].keys()
    assert "security" not in document["paths"]["/live"]["get"]


async def test_where_no_issuer_is_configured_nobody_is_asked(
    settings: Settings,
) -> None:
    async with calling(settings, AuthSettings()) as client:
        answer = await client.get("/whoami", headers=bearer("any"))
        assert (answer.status_code, answer.json()) == (200, None)
        document = (await client.get("/openapi.json")).json()
    assert "securitySchemes" not in document["components"]

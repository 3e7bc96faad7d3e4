"""Every error has one shape, and a crash keeps its cause to itself."""

import json
import logging

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from src.dependencies.config import Settings
from src.main import create_app
from src.schemas import ErrorResponse


async def test_an_unknown_path_is_not_found(client: AsyncClient) -> None:
    answer = await client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {
        "status_code": 404,
        "message": "Not Found",
        "data": None,
    }


async def test_a_path_is_never_redirected(client: AsyncClient) -> None:
    assert (await client.get("/live/")).status_code == 404


async def test_a_wrong_method_says_which_are_right(
    client: AsyncClient,
) -> None:
    answer = await client.delete("/live")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["message"] == "Method Not Allowed"


async def test_bad_json_is_refused(settings: Settings) -> None:
    app = create_app(settings)

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    transport = ASGITransport(app)
    headers = {"content-type": "application/json"}
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.post("/echo", content=b"{", headers=headers)
    assert answer.status_code == 422
    error = ErrorResponse.model_validate(answer.json())
    assert error.status_code == 422
    assert error.data is not None
    assert list(error.data) == ["body"]


async def test_a_crash_is_logged_once_and_not_told(
    app: FastAPI,
    client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app.state, "sessions", "a cause that is ours")
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/health")
    assert answer.status_code == 500
    assert answer.json() == {
        "status_code": 500,
        "message": "Internal Server Error",
        "data": None,
    }
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info


async def test_each_error_is_documented(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            errors = {
                status: answer["content"]["application/json"]["schema"]["$ref"]
                for status, answer in operation["responses"].items()
                if int(status) >= 400
            }
            assert {"422", "500"} <= errors.keys(), (method, path)
            assert set(errors.values()) == {
                "#/components/schemas/ErrorResponse"
            }, json.dumps(errors)

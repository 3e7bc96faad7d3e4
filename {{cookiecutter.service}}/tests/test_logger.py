"""A log line, as Cloud Logging reads it and as a person does."""

import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from httpx import ASGITransport, AsyncClient

from src.dependencies import Logger
from src.dependencies.config import LoggerSettings, Settings
from src.dependencies.logger import configure_logging, logger
from src.main import create_app

PROJECT = "a-project"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


type Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Puts back what a test configures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("uvicorn.access").disabled = False


def configure(settings: Settings, format: str) -> None:
    """Logging in the format, of a service in PROJECT."""
    chosen = LoggerSettings.model_validate({"format": format})
    configure_logging(
        settings.model_copy(
            update={"logger": chosen, "google_cloud_project": PROJECT}
        )
    )


def lines(captured: Captured) -> list[dict[str, object]]:
    """The lines logged."""
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of an application with a route that logs, and one that
    crashes."""
    app = create_app(settings)

    @app.get("/work/{number}")
    async def work(number: int, logger: Logger) -> int:
        logger.info({"message": "working", "number": number})
        return number

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("why")

    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


@pytest.mark.usefixtures("started_app")
async def test_each_line_carries_the_request_and_its_trace(
    settings: Settings, client: AsyncClient, capsys: Captured
) -> None:
    configure(settings, "json")
    headers = {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "x-request-id": "of-the-caller",
    }
    answer = await client.get("/work/7?token=secret", headers=headers)
    assert answer.headers["x-request-id"] == "of-the-caller"
    working, served = lines(capsys)
    assert (working["message"], working["number"]) == ("working", 7)
    assert served["message"] == "GET /work/7 200"
    assert served["route"] == "/work/{number}"
    request = served["httpRequest"]
    assert isinstance(request, dict)
    assert float(request.pop("latency").removesuffix("s")) > 0
    assert request == {
        "requestMethod": "GET",
        "requestUrl": "/work/7",
        "status": 200,
    }
    prefix = "logging.googleapis.com"
    for line in (working, served):
        assert line["severity"] == "INFO"
        assert str(line["time"]).endswith("+00:00")
        assert line["request_id"] == "of-the-caller"
        assert line[f"{prefix}/trace"] == f"projects/{PROJECT}/traces/{TRACE}"
        assert line[f"{prefix}/trace_sampled"] is True
        assert len(str(line[f"{prefix}/spanId"])) == 16
        assert line[f"{prefix}/spanId"] != SPAN


@pytest.mark.usefixtures("started_app")
async def test_cloud_trace_s_own_header_is_understood(
    settings: Settings, client: AsyncClient, capsys: Captured
) -> None:
    configure(settings, "json")
    header = {"x-cloud-trace-context": f"{TRACE}/{int(SPAN, 16)};o=1"}
    await client.get("/nowhere", headers=header)
    assert TRACE in str(lines(capsys)[0]["logging.googleapis.com/trace"])


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b', "{}", "ü"])
async def test_a_harmful_request_id_is_replaced(
    settings: Settings, client: AsyncClient, capsys: Captured, given: str
) -> None:
    configure(settings, "json")
    headers = {b"x-request-id": given.encode()}
    answer = await client.get("/nowhere", headers=headers)
    assert answer.headers["x-request-id"] != given
    assert lines(capsys)[0]["request_id"] == answer.headers["x-request-id"]


async def test_probes_are_not_logged(
    settings: Settings, client: AsyncClient, capsys: Captured
) -> None:
    configure(settings, "json")
    await client.get("/live")
    assert lines(capsys) == []


async def test_a_crash_has_its_stack_trace_once(
    settings: Settings, client: AsyncClient, capsys: Captured
) -> None:
    configure(settings, "json")
    answer = await client.get("/crash")
    assert "why" not in answer.text
    crash, served = lines(capsys)
    assert crash["severity"] == "ERROR"
    assert crash["message"] == "RuntimeError not handled"
    assert "RuntimeError: why" in str(crash["stack_trace"])
    assert served["message"] == "GET /crash 500"
    assert served["severity"] == "ERROR"
    assert crash["request_id"] == served["request_id"]


def test_any_text_and_any_logger_is_one_json_line(
    settings: Settings, capsys: Captured
) -> None:
    configure(settings, "json")
    logger.warning({"message": "é\n🍮", "nested": {"a": [1]}})
    logging.getLogger("uvicorn.error").info("started %s", "here")
    first, second = lines(capsys)
    assert (first["message"], first["nested"]) == ("é\n🍮", {"a": [1]})
    assert first["severity"] == "WARNING"
    assert (second["message"], second["logger"]) == (
        "started here",
        "uvicorn.error",
    )


def test_text_is_for_a_person(settings: Settings, capsys: Captured) -> None:
    configure(settings, "text")
    logger.info({"message": "item created", "id": 1})
    logger.info("plain %s", "words")
    logger.info({"message": "forged\nline \x1b[31m", "key": "a\rb"})
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception({"message": "failed"})
    text = capsys.readouterr().out
    assert "INFO     item created id=1\n" in text
    assert "INFO     plain words\n" in text
    assert "INFO     forged\\nline \\x1b[31m key=a\\rb\n" in text
    assert "ERROR    failed\nTraceback" in text
    assert text.endswith("ValueError: why\n")


def test_a_terminal_gets_text(
    settings: Settings, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(settings, "auto")
    logger.info({"message": "for a machine"})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    configure(settings, "auto")
    logger.info({"message": "for a person"})
    machine, person = capsys.readouterr().out.splitlines()
    assert json.loads(machine)["message"] == "for a machine"
    assert person.endswith("for a person")

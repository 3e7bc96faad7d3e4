"""Cloud Logging through google-cloud-logging and over REST."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": (BEGIN + timedelta(seconds=number)).isoformat(),
        "insertId": f"i{number}",
        **fields,
    }


def write(emulator: Emulator, project: str, *entries: dict[str, Any]) -> httpx.Response:
    body = {
        "logName": f"projects/{project}/logs/run.googleapis.com%2Fstdout",
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": "orders", "location": "europe-west1"},
        },
        "labels": {"instanceId": "007"},
        "entries": list(entries),
    }
    return emulator.http().post("/logging/v2/entries:write", json=body)


def find(emulator: Emulator, project: str, **request: Any) -> list[str]:
    found: list[dict[str, Any]] = []
    body = {"resourceNames": [f"projects/{project}"], **request}
    while True:
        answer = emulator.http().post("/logging/v2/entries:list", json=body).json()
        found += answer.get("entries", [])
        if not (token := answer.get("nextPageToken")):
            return [one["insertId"] for one in found]
        body["pageToken"] = token


FILTERS = [
    ("", "i0 i1 i2"),
    ('resource.type="cloud_run_revision"', "i0 i1 i2"),
    ('resource.type = "cloud_run_job"', ""),
    ('resource.labels.service_name="orders" severity>=WARNING', "i1 i2"),
    ("severity>=ERROR", "i2"),
    ("severity=DEFAULT", "i0"),
    ("NOT severity>=ERROR AND labels.instanceId=007", "i0 i1"),
    ("-severity=ERROR", "i0 i1"),
    ('timestamp>="2026-01-01T00:00:01Z"', "i1 i2"),
    ('timestamp>"2026-01-01T00:00:01Z" AND timestamp<"2026-01-02"', "i2"),
    ('severity>=DEFAULT AND timestamp>="2026-01-01T00:00:01Z"', "i1 i2"),
    ('severity=DEFAULT OR timestamp>="2026-01-01T00:00:02Z"', "i0 i2"),
    ('NOT timestamp>="2026-01-01T00:00:01Z"', "i0"),
    ('(severity=DEFAULT AND timestamp>="2026-01-01T00:00:01Z") OR severity=ERROR', "i2"),
    ('logName:"stdout"', "i0 i1 i2"),
    ('textPayload="hello world"', "i0"),
    ('textPayload=~"^hel+o"', "i0"),
    ("textPayload:WORLD OR jsonPayload.item.id=7", "i0 i1"),
    ("(severity=ERROR OR severity=WARNING) AND jsonPayload.message:*", "i1"),
    ("jsonPayload.item.id>6", "i1"),
    ('jsonPayload.message=("none" OR "stored")', "i1"),
    ("-- a comment\nworld", "i0"),
    ('labels."run.googleapis.com/execution_name"="x-1"', "i2"),
]


@pytest.mark.parametrize(("text", "expected"), FILTERS)
def test_a_filter_finds(emulator: Emulator, project: str, text: str, expected: str) -> None:
    written = write(
        emulator,
        project,
        entry(0, textPayload="hello world"),
        entry(1, severity="WARNING", jsonPayload={"message": "stored", "item": {"id": 7}}),
        entry(
            2,
            severity=500,
            textPayload="Traceback",
            labels={"run.googleapis.com/execution_name": "x-1"},
        ),
    )
    assert written.json() == {}
    assert find(emulator, project, filter=text) == expected.split()


def test_entries_come_in_the_order_asked_for_page_by_page(emulator: Emulator, project: str) -> None:
    write(emulator, project, *(entry(i, textPayload=str(i)) for i in (2, 0, 3, 1, 4)))
    assert find(emulator, project, pageSize=2) == ["i0", "i1", "i2", "i3", "i4"]
    newest = find(emulator, project, pageSize=2, orderBy="timestamp desc")
    assert newest == ["i4", "i3", "i2", "i1", "i0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filter": "severity>="}, "Unparseable filter"),
        ({"filter": "severity>=LOUD"}, "LOUD"),
        ({"filter": "sample(insertId, 0.1)"}, "sample"),
        ({"filter": 'textPayload=~"(a+)+$"'}, "repetition"),
        ({"filter": 'textPayload=~"(?:(a|a)b?){2,}$"'}, "repetition"),
        ({"filter": 'textPayload=~"(?=a)b"'}, "invalid perl operator"),
        ({"filter": f'textPayload=~"{"a" * 1025}"'}, "too long"),
        ({"filter": 'textPayload=~"("'}, "Unparseable filter"),
        ({"orderBy": "severity"}, "order"),
        ({"resourceNames": []}, "resource names"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_question_is_refused(
    emulator: Emulator, project: str, change: dict[str, Any], message: str
) -> None:
    body = {"resourceNames": [f"projects/{project}"], **change}
    answer = emulator.http().post("/logging/v2/entries:list", json=body)
    assert answer.status_code in (400, 501)
    assert message in answer.json()["error"]["message"]


def test_writers_need_a_role_and_the_api(
    emulator: Emulator, project: str, bare_project: str
) -> None:
    email = create_account(emulator, project, "orders-run")
    body = {
        "entries": [
            {
                "logName": f"projects/{project}/logs/x",
                "resource": {"type": "global"},
                "textPayload": "x",
            }
        ]
    }
    answer = emulator.http(email).post("/logging/v2/entries:write", json=body)
    assert answer.status_code == 403
    assert "logging.logEntries.create" in answer.json()["error"]["message"]
    answer = write(emulator, "a-disabled-project", entry(0, textPayload="x"))
    assert answer.json()["error"]["details"][0]["reason"] == "SERVICE_DISABLED"


def test_googles_own_client_writes_and_reads(emulator: Emulator, project: str) -> None:
    client = logging.Client(  # type: ignore[no-untyped-call]
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": f"http://{emulator.host}/logging"},
        _use_grpc=False,
    )
    logger = client.logger("orders")  # type: ignore[no-untyped-call]
    logger.log_struct({"message": "stored", "n": 1}, severity="NOTICE")
    logger.log_text("plain")
    wanted = f'logName="projects/{project}/logs/orders"'
    found = list(client.list_entries(filter_=wanted))  # type: ignore[no-untyped-call]
    # The client's first entry is about itself.
    assert [one.payload for one in found[1:]] == [{"message": "stored", "n": 1}, "plain"]
    assert found[1].severity == "NOTICE"

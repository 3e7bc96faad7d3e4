"""What was released, as the revisions tell it."""

from datetime import UTC, datetime, timedelta

from google.cloud import run_v2

from infra.names import PLACEHOLDER_IMAGE
from infra.release.history import of_revisions
from infra.release.record import Record
from infra.tasks.releases import row, table

DIGEST = "0123456789ab"
SERVICE = "projects/p/locations/r/services/orders"
BEGIN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
RECORD = Record(
    commit="0123456789abcdef",
    branch="main",
    author="Zoë O'Hara <zoe@example.com>",
    source="00ff",
    engine="0.1.0",
    by="zoe",
)


def revision(
    name: str, minutes: int, record: Record | None = RECORD, image: str = "image", **more: object
) -> run_v2.Revision:
    """A revision, so many minutes younger than the first."""
    return run_v2.Revision(
        name=f"{SERVICE}/revisions/{name}",
        create_time=BEGIN + timedelta(minutes=minutes),
        containers=[run_v2.Container(image=image)],
        annotations=record.annotations() if record else {},
        **more,
    )


def test_a_record_reads_back_as_it_was_written() -> None:
    for record in (RECORD, Record(), Record(commit="0", dirty="true")):
        assert Record.read(record.annotations()) == record
    assert Record().annotations() == {}


def test_annotations_of_others_are_no_record() -> None:
    assert Record.read({"run.googleapis.com/commit": "0", "commit": "1"}) == Record()


def test_the_newest_is_first_and_the_placeholder_is_no_release() -> None:
    revisions = [
        revision("orders-00001-abc", 0, None, PLACEHOLDER_IMAGE),
        revision("orders-0123456-1", 1),
        revision("orders-0123456-2", 2),
    ]
    found = of_revisions(revisions, (("orders-0123456-1", 90), ("orders-0123456-2", 10)))
    assert [(each.revision, each.percent) for each in found] == [
        ("orders-0123456-2", 10),
        ("orders-0123456-1", 90),
    ]


def test_a_line_tells_when_which_and_by_whom() -> None:
    failed = run_v2.Condition(type_="Ready", state=run_v2.Condition.State.CONDITION_FAILED)
    changed = Record(commit=RECORD.commit, dirty="true", by=RECORD.by, schema="7f3a2b")
    image = "europe-west1-docker.pkg.dev/p/orders/orders@sha256:0123456789abcdef"
    found = of_revisions(
        [
            revision("orders-0123456-1", 0, None, image),
            revision("orders-0123456-2", 1, image=image),
            revision("orders-0123456-3", 2, changed, image, conditions=[failed]),
            revision("orders-0123456-4", 3, image=image),
            revision("orders-00005-abc", 4, image=image),
            revision("orders-0123456-6", 5, image=image),
        ],
        (("orders-0123456-2", 100),),
        ("orders-0123456-2",),
        "orders-0123456-6",
    )
    lines = [line.split("  ") for line in table([row(each) for each in found])]
    assert [[part.strip() for part in line if part] for line in lines] == [
        [f"orders-{name}", f"2026-03-01 12:{minute}", *others]
        for name, minute, *others in (
            ("0123456-6", 35, "waits", "0123456789ab (main)", DIGEST, "?", "zoe"),
            ("00005-abc", 34, "not released", "0123456789ab (main)", DIGEST, "?", "zoe"),
            ("0123456-4", 33, "given up", "0123456789ab (main)", DIGEST, "?", "zoe"),
            (
                "0123456-3",
                32,
                "not ready",
                "0123456789ab, changed",
                "0123456789ab",
                "7f3a2b",
                "zoe",
            ),
            ("0123456-2", 31, "100 %", "0123456789ab (main)", DIGEST, "?", "zoe"),
            # Before what is remembered.
            ("0123456-1", 30, "0 %", "no commit", DIGEST, "?", "?"),
        )
    ]


def test_without_a_memory_nothing_counts_as_given_up() -> None:
    found = of_revisions([revision("orders-1", 0), revision("orders-2", 1)], (("orders-2", 100),))
    assert [each.fate for each in found] == ["", ""]

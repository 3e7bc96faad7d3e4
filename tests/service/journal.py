"""What clients were told of their writes, and so what the database has to hold afterwards.

A write whose answer was lost may have been carried out or not, now or a little later: either is
right. It asks nobody; it judges what others have seen.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN = 20

type Content = str | None
"""What a row says, None where there is no row."""


@dataclass
class Row:
    """A row by what is known of it. It has at most one write whose outcome is unknown."""

    name: str
    id: str | None = None
    sure: Content = None
    """What it says if the unknown write, where there is one, was not carried out."""
    unknown: list[Content] = field(default_factory=list)
    """What that write would make of it."""

    @property
    def usable(self) -> bool:
        """Whether it is there and nothing is in the air: another write would be told apart."""
        return self.sure is not None and not self.unknown

    def acknowledged(self, content: Content) -> None:
        """The service has said that the row says so now."""
        self.sure = content

    def in_doubt(self, content: Content) -> None:
        """The row was to say so, and no answer came."""
        self.unknown.append(content)

    def agrees(self, seen: Content) -> bool:
        """Whether the row may say so. To have seen an unknown write makes it a known one."""
        if seen in self.unknown:
            self.sure = seen
            self.unknown.clear()
        return seen == self.sure

    def __str__(self) -> str:
        known = [self.sure, *self.unknown]
        return f"{self.name}, which should be {' or '.join(map(in_brief, known))}"


@dataclass
class Journal:
    """The rows of all clients, by name."""

    rows: dict[str, Row] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """What must not have happened."""

    @property
    def told(self) -> list[str]:
        """The faults, each with how often it was found."""
        return [f"{count} x {fault}" for fault, count in Counter(self.faults).most_common(SHOWN)]

    def new(self, name: str) -> Row:
        """A row that nobody has written yet."""
        row = self.rows[name] = Row(name)
        return row

    def saw(self, row: Row, content: Content) -> None:
        """Somebody has read the row."""
        if not row.agrees(content):
            self.faults.append(f"{in_brief(content)} was found for {row}")
            # Said once.
            row.sure = content
            row.unknown.clear()

    def compare(self, found: Mapping[str, str]) -> None:
        """Judges all that the database holds: the content by name."""
        for name in found.keys() - self.rows.keys():
            self.faults.append(f"{name} was found, which nobody wrote")
        for name, row in self.rows.items():
            self.saw(row, found.get(name))


def in_brief(content: Content) -> str:
    """A content in a few words: clients begin it with which of their writes it is from."""
    return "nothing" if content is None else repr(content.partition(" ")[0])

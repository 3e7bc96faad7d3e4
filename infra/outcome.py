"""How a run ended, by resource: what a plan that is carried out comes to."""

from dataclasses import dataclass

from infra.events import Status


@dataclass
class Outcome:
    """How it ended, by resource."""

    statuses: dict[str, Status]
    interrupted: bool = False
    refused: bool = False
    """Whether nothing was touched, because of what would have been."""
    lost: str = ""
    """Why it ended early, other than by an interrupt: the lease went to somebody else."""

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(1 for each in self.statuses.values() if each is status)

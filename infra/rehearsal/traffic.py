"""How the traffic moved: looked at a few times a second."""

from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from infra.release.live import get_service, split_of
from infra.release.memory import Split
from infra.resources.base import Work

EVERY_SECONDS = 0.25


class Traffic:
    """Looks at the service's traffic from the beginning of the block to its end."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._over = Event()
        self._thread = Thread(target=self._look, name="traffic")
        self._began = 0.0
        self.seen: list[tuple[float, Split]] = []
        """The splits, each when it was first seen: seconds since the beginning."""

    def __enter__(self) -> Self:
        self._began = monotonic()
        self._note()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is None:
            self._note()

    def _look(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._note()

    def _note(self) -> None:
        split = split_of(get_service(self._work))
        if not self.seen or self.seen[-1][1] != split:
            self.seen.append((monotonic() - self._began, split))

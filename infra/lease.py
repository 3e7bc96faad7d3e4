"""One run at a time for a service in an environment: who holds the lease, and for how long.

The lease is an object in the service's source bucket, made, renewed and removed under generation
preconditions, so that Google decides who was first. Google's clock alone judges whether it is over:
the object's `updated` against the `Date` of the same answer. Nothing else is locked or read here.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic

from infra.caller import who
from infra.causes import Cause
from infra.clock import SYSTEM, Clock
from infra.cloud import Cloud
from infra.lease_object import Holder, LeaseObject
from infra.report import spell
from infra.retry import CloudError, Patience, Retry, Spent

TTL_SECONDS = 60
RENEWALS = 3
"""How often it is renewed within the time it is good for."""
ASK_SECONDS = 5
"""How often one who waits for it asks."""
TRIES = Patience(0.2, 3, 60)
RELEASES = 3


class LeaseError(CloudError):
    """Somebody else holds the lease."""

    def __init__(self, holder: Holder, environment: str) -> None:
        super().__init__(
            "taking the lease",
            describe(holder),
            f"Wait for it with --lock-timeout SECONDS; if that run is dead, its lease ends by "
            f"itself {spell(holder.ttl)} after its last renewal,\n"
            f"or at once with: invoke unlock --env {environment}",
            Cause.BUSY,
        )


def describe(holder: Holder) -> str:
    """Who holds a lease, in words."""
    return (
        f"{holder.who} holds it, running `{holder.command}` since {holder.since} "
        f"({spell(holder.held)}); last renewed {spell(holder.age)} ago"
    )


@dataclass
class Lease:
    """A lease that is ours, until it says that it is lost."""

    store: LeaseObject
    retry: Retry
    mine: Holder
    stop: Event
    may_vanish: bool = False
    """Whether that it is gone is no loss: what it is in is being removed."""
    vanished: bool = False
    """Whether it is gone, with what it was in: then there is nothing to give back."""
    lost: str = ""
    """Why it is ours no longer; "" while it is."""

    def renew_until(self, ended: Event) -> None:
        """Renews it, until told that it is over or somebody else has it."""
        renewed = monotonic()
        while not ended.wait(self.mine.ttl / RENEWALS):
            began = monotonic()
            try:
                self.mine = self.store.renew(self.mine)
                renewed = began
            except CloudError as error:
                if error.cause is Cause.ABSENT and self.may_vanish:
                    return
                if error.cause in {Cause.ABSENT, Cause.CONFLICT} or is_late(renewed, self.mine):
                    return self.lose(error)

    def lose(self, error: CloudError) -> None:
        """Stops what goes on under it, and says why."""
        why = error.said
        if error.cause is Cause.ABSENT:
            why = "somebody broke it"
        elif error.cause is Cause.CONFLICT:
            why = "somebody else has taken it over"
        self.lost = f"the lease is lost: {why}. Nothing more was begun"
        self.stop.set()

    def release(self) -> str:
        """Gives it back. Returns why that could not be done, "" when it was."""
        said = ""
        for _ in range(RELEASES):
            try:
                self.store.remove(self.mine)
                return ""
            except CloudError as error:
                if error.cause in {Cause.ABSENT, Cause.CONFLICT}:
                    return ""
                said = error.said
        return f"the lease could not be given back ({said}): it ends within {spell(self.mine.ttl)}"


def is_late(renewed: float, mine: Holder) -> bool:
    """Whether it was renewed so long ago that it may be another's before the next try."""
    return monotonic() - renewed > mine.ttl * (RENEWALS - 1) / RENEWALS


@contextmanager
def held(  # noqa: PLR0913
    cloud: Cloud,
    command: str,
    *,
    stop: Event | None = None,
    timeout: float = 0,
    ttl: float = TTL_SECONDS,
    may_vanish: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    clock: Clock = SYSTEM,
) -> Iterator[Lease]:
    """Holds the lease of the cloud's service and environment, renewing it, and gives it back.

    `command` is what runs, for whoever finds it held. `timeout`: seconds to wait for one that holds
    it; `stop` ends the waiting, and is set when the lease is lost. Raises LeaseError, Stopped, and
    CloudError with cause ABSENT when the bucket it is in is not there.
    """
    stop = stop or Event()
    retry = Retry(stop, clock=clock, project=cloud.names.project)
    store = LeaseObject(cloud)
    wanted = Holder(who(cloud), command, uuid.uuid4().hex, ttl)
    mine = Taking(store, retry, wanted, cloud.environment.name, tell).take(timeout)
    lease = Lease(store, retry, mine, stop, may_vanish)
    ended = Event()
    renewer = Thread(target=lease.renew_until, args=(ended,), name="lease", daemon=True)
    renewer.start()
    try:
        yield lease
    finally:
        ended.set()
        renewer.join()
        if complaint := "" if lease.lost or lease.vanished else lease.release():
            tell(complaint)


@dataclass
class Taking:
    """Taking the lease, or waiting for it."""

    store: LeaseObject
    retry: Retry
    wanted: Holder
    environment: str
    tell: Callable[[str], None]

    def take(self, timeout: float) -> Holder:
        """The lease as it is ours. Raises LeaseError when it is not to be had in that time."""
        clock = self.retry.clock
        since, told = clock.now(), ""
        spent = Spent(clock, {Cause.TRANSIENT: TRIES, Cause.CONFLICT: TRIES})
        found: Holder | None = None
        while True:
            began = clock.now()
            mine = self.attempt(found, spent)
            if mine is not None:
                return mine
            found = self.retry.call("read the lease", self.store.find)
            if found is not None and found.id == self.wanted.id:
                return found  # the answer to our own taking was lost
            if found is None or found.is_over:
                self.retry.pause(spent.next(Cause.CONFLICT))
                spent.add(Cause.CONFLICT, clock.now() - began)
                continue
            left = timeout - (clock.now() - since)
            if left <= 0:
                raise LeaseError(found, self.environment)
            if told != found.id:
                self.tell(f"waiting up to {spell(left)} for the lease: {describe(found)}")
                told = found.id
            self.retry.pause(min(ASK_SECONDS, left))

    def attempt(self, found: Holder | None, spent: Spent) -> Holder | None:
        """Takes it, if nobody has it, or if whoever had it is over; None when that did not do."""
        if found is not None and not found.is_over:
            return None
        try:
            mine = self.retry.write("take the lease", lambda: self.store.put(self.wanted, found))
        except CloudError as error:
            if spent.is_over(error.cause):
                raise
            return None
        if found is not None:
            self.tell(f"took over the lease of a run that is dead: {describe(found)}")
        return mine


def find(cloud: Cloud) -> Holder | None:
    """Who holds the lease, None for nobody. Raises CloudError."""
    retry = Retry(Event(), project=cloud.names.project)
    return retry.call("read the lease", LeaseObject(cloud).find)


def break_(cloud: Cloud, holder: Holder) -> bool:
    """Takes the lease from its holder. Returns whether it was still theirs. Raises CloudError."""
    try:
        LeaseObject(cloud).remove(holder)
    except CloudError as error:
        if error.cause in {Cause.ABSENT, Cause.CONFLICT}:
            return False
        raise
    return True

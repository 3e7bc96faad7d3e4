"""Revisions: made of a service's template, started once to see that they work.

A revision is tried in the background; what else changes its service meanwhile does not wait for it.
"""

import random
import string
import threading
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import Future

from google.cloud import run_v2

from infra.emulator import messages, pages
from infra.emulator.machine import Machine
from infra.emulator.run import conditions
from infra.emulator.run.documents import (
    TEMPLATES,
    find_revision,
    get_service,
    put_revision,
    put_service,
    revisions_of,
    uid,
)
from infra.emulator.run.launch import Launcher, Owner, probe_of
from infra.emulator.runtime import Launch, Origin, Spec, StartError
from infra.emulator.world import Document, World

REVISION_CONDITIONS = ("Ready", "ContainerReady", "ContainerHealthy", "ResourcesAvailable")


class Revisions:
    """Makes revisions, each once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._launcher = Launcher(machine)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Those that are starting, and how that ends.
        self._pending: dict[str, Future[None]] = {}

    @property
    def world(self) -> World:
        """The emulator's memory."""
        return self._machine.cloud.world

    def restore(self, revision: run_v2.Revision) -> None:
        """Has a revision serve again that did before the emulator's restart."""
        self._machine.runtime.deploy(self._spec(revision), check=False)

    def abort(self, service: str) -> None:
        """Ends the revisions of a service that are starting."""
        for name in list(self._pending):
            if name.startswith(f"{service}/"):
                self._machine.runtime.retire(name)

    def ensure(self, service: run_v2.Service) -> None:
        """Returns when the revision a service's template asks for is ready. Raises StartError.

        Two changes that ask for the same one share it.
        """
        with self._locks[service.name]:
            full = self._name_for(service)
            existing = find_revision(self.world, full)
            if existing is not None and is_ready(existing):
                return
            outcome = self._pending.get(full)
            if outcome is None:
                revision = make_revision(service, full, self.world)
                mine: Future[None] = Future()
                self._pending[full] = mine
                with self.world.transaction():
                    put_revision(self.world, revision)
                    self.world.put(TEMPLATES, full, _plain(service.template))
                    self._note(service.name, created=full)
        if outcome is not None:
            outcome.result()
            return
        try:
            self._start(revision)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(None)
        finally:
            del self._pending[full]

    def mark_active(self, service: str, wanted: Collection[str]) -> None:
        """Notes which of a service's revisions serve: that others don't is no failure of theirs,
        though Cloud Run says it with a condition that failed, for information."""
        now = self.world.now()
        with self.world.transaction():
            for revision in revisions_of(self.world, service):
                if not is_ready(revision):
                    continue
                active = conditions.active(revision.name in wanted, now)
                others = [one for one in revision.conditions if one.type_ != active.type_]
                before = [one.state for one in revision.conditions if one.type_ == active.type_]
                if before != [active.state]:
                    revision.conditions = [*others, active]
                    put_revision(self.world, revision)

    def _name_for(self, service: run_v2.Service) -> str:
        """The name of the revision a service's template asks for, a new one if need be."""
        latest = get_service(self.world, service.name).latest_created_revision
        name = service.template.revision
        if not name and latest and same(self.world, latest, service.template):
            current = find_revision(self.world, latest)
            if latest in self._pending or (current is not None and is_ready(current)):
                return latest
        return f"{service.name}/revisions/{name or self._next_name(service)}"

    def _start(self, revision: run_v2.Revision) -> None:
        try:
            # By digest: what a tag means later is another revision's.
            pinned = self._launcher.check_image(revision.containers[0].image)
            revision.containers[0].image = pinned
            self._machine.runtime.deploy(self._spec(revision))
        except StartError as failure:
            common = conditions.reason_of(failure)
            self._end(
                revision,
                conditions.all_of(
                    REVISION_CONDITIONS[:2],
                    conditions.FAILED,
                    self.world.now(),
                    failure.message,
                    common,
                ),
            )
            raise
        now = self.world.now()
        self._end(revision, conditions.all_of(REVISION_CONDITIONS, conditions.SUCCEEDED, now))

    def _end(self, revision: run_v2.Revision, reached: list[run_v2.Condition]) -> None:
        revision.conditions = reached
        revision.reconciling = False
        with self.world.transaction():
            if find_revision(self.world, revision.name) is None:
                raise StartError("The revision has been deleted.")
            put_revision(self.world, revision)
            if is_ready(revision):
                self._note(revision.name.partition("/revisions/")[0], ready=revision.name)

    def _note(self, name: str, *, created: str = "", ready: str = "") -> None:
        """Writes the latest revisions into a service; one that is ready late is not the latest."""
        current = get_service(self.world, name)
        current.latest_created_revision = created or current.latest_created_revision
        before = find_revision(self.world, current.latest_ready_revision)
        after = find_revision(self.world, ready)
        if after and (before is None or after.create_time >= before.create_time):
            current.latest_ready_revision = ready
        put_service(self.world, current)

    def _next_name(self, service: run_v2.Service) -> str:
        """Such as `orders-00007-kux`."""
        short = service.name.rpartition("/")[2]
        letters = "".join(random.choices(string.ascii_lowercase, k=3))  # noqa: S311
        return f"{short}-{service.generation:05d}-{letters}"

    def _spec(self, revision: run_v2.Revision) -> Spec:
        container = revision.containers[0]
        service = revision.name.split("/")[5]
        short = revision.name.rpartition("/")[2]
        own = {"K_SERVICE": service, "K_REVISION": short, "K_CONFIGURATION": service}
        owner = Owner(revision.name, revision.service_account)
        port = container.ports[0].container_port

        def launch() -> Launch:
            return self._launcher.launch(owner, container, revision.volumes, own)

        return Spec(
            name=revision.name,
            origin=origin_of(revision.name.partition("/revisions/")[0], short),
            launch=launch,
            port=port,
            concurrency=revision.max_instance_request_concurrency,
            minimum=revision.scaling.min_instance_count,
            maximum=revision.scaling.max_instance_count,
            startup=probe_of(container.startup_probe, port),
            liveness=probe_of(container.liveness_probe, port)
            if "liveness_probe" in container
            else None,
            grace=self._machine.runtime.settings.grace_seconds,
        )


def make_revision(service: run_v2.Service, name: str, world: World) -> run_v2.Revision:
    """The revision of a service's template, not ready yet."""
    template, now = service.template, world.now()
    revision = run_v2.Revision(
        name=name,
        uid=uid(),
        generation=1,
        observed_generation=1,
        labels=dict(template.labels),
        annotations=dict(template.annotations),
        create_time=now,
        update_time=now,
        launch_stage=service.launch_stage,
        service=service.name.rpartition("/")[2],
        creator=service.last_modifier,
        reconciling=True,
        conditions=conditions.all_of(("Ready",), conditions.RECONCILING, now),
        etag=pages.etag(),
        log_uri="",
    )
    _copy(template, revision)
    return revision


def same(world: World, revision: str, template: run_v2.RevisionTemplate) -> bool:
    """Whether a revision was made from such a template."""
    return world.get(TEMPLATES, revision) == _plain(template)


def _plain(template: run_v2.RevisionTemplate) -> Document:
    """A template without the name it asks for."""
    return {key: value for key, value in messages.dump(template).items() if key != "revision"}


COPIED = (
    "scaling",
    "vpc_access",
    "timeout",
    "service_account",
    "containers",
    "volumes",
    "execution_environment",
    "encryption_key",
    "max_instance_request_concurrency",
    "session_affinity",
    "node_selector",
)


def _copy(source: run_v2.RevisionTemplate, target: run_v2.Revision) -> None:
    for name in COPIED:
        if getattr(source, name):
            setattr(target, name, getattr(source, name))


def is_ready(revision: run_v2.Revision) -> bool:
    """Whether a revision can serve."""
    return any(
        one.type_ == "Ready" and one.state == conditions.SUCCEEDED for one in revision.conditions
    )


def origin_of(service: str, revision: str) -> Origin:
    """Who writes the logs of a revision, or of a service that has none to answer."""
    _, project, _, location, _, short = service.split("/")
    return Origin(
        project,
        "cloud_run_revision",
        {
            "project_id": project,
            "location": location,
            "service_name": short,
            "configuration_name": short,
            "revision_name": revision,
        },
    )

"""Services: from what is declared to revisions that serve, and back to it after a restart.

Each change is carried out in the background. What fails changes nothing about what serves: traffic
stays with the last revision that was ready.
"""

import threading
from collections import defaultdict
from collections.abc import Callable

from google.cloud import run_v2

from infra.emulator import errors, iam, messages, pages
from infra.emulator.cloud import Cloud, Part
from infra.emulator.machine import Machine
from infra.emulator.run import conditions
from infra.emulator.run.defaults import BY_REVISION, LATEST
from infra.emulator.run.documents import (
    REVISIONS,
    SERVICES,
    forget_revision,
    get_service,
    put_service,
    revisions_of,
)
from infra.emulator.run.revisions import Revisions, is_ready, origin_of
from infra.emulator.runtime import Route, StartError
from infra.emulator.sql import Sql
from infra.emulator.world import World

SERVICE_CONDITIONS = ("RoutesReady", "ConfigurationsReady")
TAG = "#"
BEARER = "Bearer emulated:"


class Services(Part):
    """Every service of the cloud, and what runs for it."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._machine = cloud.part(Machine)
        self._revisions = Revisions(self._machine)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def world(self) -> World:
        """The emulator's memory."""
        return self.cloud.world

    def start(self) -> None:
        """Has everything serve again that did when the emulator ended."""
        self._machine.start()
        self.cloud.part(Sql).start()
        for body in self.world.list(REVISIONS):
            revision = messages.from_json(run_v2.Revision, body)
            if is_ready(revision):
                self._revisions.restore(revision)
        for body in self.world.list(SERVICES):
            service = messages.from_json(run_v2.Service, body)
            if service.delete_time:
                self.remove(service.name)
                continue
            self._route(service)
            put_service(self.world, service)
            if service.reconciling:
                # Its operation has failed with the emulator; the service itself goes on.
                threading.Thread(target=self._resume, args=(service,), daemon=True).start()

    # Carrying out.

    def reconcile(self, service: run_v2.Service) -> run_v2.Service:
        """Carries out a generation of a service. Raises the GoogleError its operation ends with."""
        try:
            self._revisions.ensure(service)
        except StartError as failure:
            with self._locks[service.name]:
                return self._fail(service, failure)
        with self._locks[service.name]:
            return self._succeed(service)

    def spoil(self, service: run_v2.Service, error: errors.GoogleError) -> None:
        """Leaves a generation of a service as its operation's failure says."""
        now, failed = self.world.now(), conditions.FAILED
        with self._locks[service.name]:
            self._finish(
                service,
                conditions.condition("Ready", failed, now, error.message),
                conditions.all_of(SERVICE_CONDITIONS, failed, now, error.message),
            )

    def _resume(self, service: run_v2.Service) -> None:
        try:
            self.reconcile(service)
        except errors.GoogleError:
            # It is in the service's conditions.
            return

    def _fail(self, service: run_v2.Service, failure: StartError) -> run_v2.Service:
        latest = get_service(self.world, service.name).latest_created_revision
        name = latest.rpartition("/")[2]
        message = f"Revision '{name}' is not ready and cannot serve traffic. {failure.message}"
        now, common = self.world.now(), conditions.reason_of(failure)
        failed = conditions.FAILED
        self._finish(
            service,
            conditions.condition("Ready", failed, now, message, common),
            [
                conditions.condition("RoutesReady", conditions.SUCCEEDED, now)
                if get_service(self.world, service.name).latest_ready_revision
                else conditions.condition("RoutesReady", failed, now, message, common),
                conditions.condition("ConfigurationsReady", failed, now, message, common),
            ],
        )
        raise conditions.as_google(failure, message)

    def _succeed(self, service: run_v2.Service) -> run_v2.Service:
        now = self.world.now()
        missing = [
            target.revision
            for target in service.traffic
            if target.type_ == BY_REVISION
            and not self._serves(f"{service.name}/revisions/{target.revision}")
        ]
        if missing:
            message = f"Traffic target {missing[0]!r} is not a revision that is ready."
            failed = conditions.condition("Ready", conditions.FAILED, now, message)
            routes = conditions.condition("RoutesReady", conditions.FAILED, now, message)
            ready = conditions.condition("ConfigurationsReady", conditions.SUCCEEDED, now)
            self._finish(service, failed, [routes, ready])
            raise errors.precondition(message)
        return self._finish(
            service,
            conditions.condition("Ready", conditions.SUCCEEDED, now),
            conditions.all_of(SERVICE_CONDITIONS, conditions.SUCCEEDED, now),
            routes=True,
        )

    def _finish(
        self,
        service: run_v2.Service,
        terminal: run_v2.Condition,
        others: list[run_v2.Condition],
        *,
        routes: bool = False,
    ) -> run_v2.Service:
        current = get_service(self.world, service.name)
        if current.generation != service.generation:
            # A later change is under way, and will say how things are.
            return current
        if routes:
            self._route(current)
        with self.world.transaction():
            latest = get_service(self.world, service.name)
            if latest.generation == service.generation:
                latest.uri, latest.urls = current.uri, list(current.urls)
                latest.traffic_statuses = list(current.traffic_statuses)
                latest.observed_generation = latest.generation
                latest.reconciling = False
                latest.terminal_condition = terminal
                latest.conditions = others
                latest.etag = pages.etag()
                put_service(self.world, latest)
        return latest

    # Traffic.

    def _route(self, service: run_v2.Service) -> None:
        """Leads a service's addresses to its revisions, and writes them into the service."""
        if not service.latest_ready_revision:
            return
        runtime = self._machine.runtime
        route = Route(
            origin_of(service.name, ""),
            timeout=service.template.timeout.total_seconds(),
            may_invoke=self._check(service.name) if runtime.settings.check_invokers else None,
        )
        targets = list(service.traffic) or [run_v2.TrafficTarget(type_=LATEST, percent=100)]
        revisions = [self._target(service, target) for target in targets]
        weights = [
            (name, one.percent) for name, one in zip(revisions, targets, strict=True) if one.percent
        ]
        service.uri = runtime.route(service.name, route, weights)
        service.urls = [service.uri]
        statuses = []
        for name, target in zip(revisions, targets, strict=True):
            uri = ""
            if target.tag:
                uri = runtime.route(f"{service.name}{TAG}{target.tag}", route, [(name, 1)])
            status = run_v2.TrafficTargetStatus(
                type_=target.type_,
                revision=target.revision,
                percent=target.percent,
                tag=target.tag,
                uri=uri,
            )
            statuses.append(status)
        kept = {target.tag for target in targets}
        for status in service.traffic_statuses:
            if status.tag and status.tag not in kept:
                runtime.close_route(f"{service.name}{TAG}{status.tag}")
        service.traffic_statuses = statuses
        wanted = {
            name for name, one in zip(revisions, targets, strict=True) if one.percent or one.tag
        }
        names = [one.name for one in revisions_of(self.world, service.name)]
        runtime.serve({name: name in wanted for name in names})
        self._revisions.mark_active(service.name, wanted)

    def _target(self, service: run_v2.Service, target: run_v2.TrafficTarget) -> str:
        if target.type_ == BY_REVISION:
            return f"{service.name}/revisions/{target.revision}"
        return service.latest_ready_revision

    def _serves(self, revision: str) -> bool:
        return self._machine.runtime.has_revision(revision)

    def _check(self, name: str) -> Callable[[str], bool]:
        def may_invoke(authorization: str) -> bool:
            caller = iam.account(authorization.removeprefix(BEARER))
            return get_service(self.world, name).invoker_iam_disabled or iam.has_permission(
                self.world, caller, "run.routes.invoke", name
            )

        return may_invoke

    # Ending.

    def remove(self, name: str) -> None:
        """Ends everything of a service and forgets it."""
        self._revisions.abort(name)
        with self._locks[name]:
            runtime = self._machine.runtime
            body = self.world.get(SERVICES, name)
            if body is None:
                return
            service = messages.from_json(run_v2.Service, body)
            runtime.close_route(name)
            for status in service.traffic_statuses:
                if status.tag:
                    runtime.close_route(f"{name}{TAG}{status.tag}")
            for revision in revisions_of(self.world, name):
                runtime.retire(revision.name)
            with self.world.transaction():
                for revision in revisions_of(self.world, name):
                    forget_revision(self.world, revision.name)
                self.world.delete(SERVICES, name)
                iam.delete_policies(self.world, name)

    def remove_revision(self, name: str) -> None:
        """Ends a revision and forgets it."""
        self._machine.runtime.retire(name)
        forget_revision(self.world, name)

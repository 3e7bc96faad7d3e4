"""Invoke collections, thin: each task parses its options, calls, and reports.

`namespace` is what the tasks.py of a generated service loads, and the template's own. Nothing of
Google's is imported until a task needs it.
"""

from invoke.collection import Collection

from infra.tasks.audit import audit
from infra.tasks.dashboard import dashboard
from infra.tasks.deploy import deploy
from infra.tasks.destroy import destroy
from infra.tasks.dev import dev
from infra.tasks.doctor import doctor
from infra.tasks.emulator import emulator
from infra.tasks.entity import entity
from infra.tasks.graph import graph
from infra.tasks.image import image
from infra.tasks.lint import lint
from infra.tasks.logs import logs
from infra.tasks.migrate import migrate
from infra.tasks.open import open_service
from infra.tasks.promote import promote
from infra.tasks.provision import provision
from infra.tasks.rehearse import rehearse
from infra.tasks.releases import releases
from infra.tasks.render import render
from infra.tasks.rollback import rollback
from infra.tasks.secret import secret
from infra.tasks.status import status
from infra.tasks.test import test
from infra.tasks.unlock import unlock
from infra.tasks.upgrade import upgrade

namespace = Collection(
    audit,
    dashboard,
    deploy,
    destroy,
    dev,
    doctor,
    emulator,
    entity,
    graph,
    image,
    lint,
    logs,
    migrate,
    open_service,
    promote,
    provision,
    rehearse,
    releases,
    render,
    rollback,
    secret,
    status,
    test,
    unlock,
    upgrade,
)

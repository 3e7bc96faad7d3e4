"""Invoke collections, thin: each task parses its options, calls, and reports.

`namespace` is what the tasks.py of a generated service loads, and the template's own.
"""

from invoke.collection import Collection

from infra.tasks.dev import dev
from infra.tasks.lint import lint
from infra.tasks.test import test

namespace = Collection(dev, lint, test)

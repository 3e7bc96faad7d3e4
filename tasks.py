"""The commands of this repository: `uv run invoke --list`."""

from infra.tasks import namespace
from infra.tasks.demo import demo

__all__ = ["namespace"]

namespace.add_task(demo)

"""The commands of this repository: `uv run invoke --list`."""

from infra.tasks import namespace
from infra.tasks.demo import demo
from infra.tasks.docs import docs

__all__ = ["namespace"]

namespace.add_task(demo)
namespace.add_task(docs)

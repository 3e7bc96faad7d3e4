"""The commands of this service: `uv run invoke --list`."""

from infra.tasks import namespace as namespace

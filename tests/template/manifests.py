"""The manifest as `invoke render` leaves it: each ${NAME} filled in, here with plausible values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NAME = re.compile(r"\$\{(\w+)\}")

# One plausible value for each name that ci/cloud-run.yaml takes from outside.
DEPLOYMENT = {
    "SERVICE": "orders",
    "PROJECT": "acme-orders-dev",
    "ENVIRONMENT": "dev",
    "IMAGE": "asia-southeast2-docker.pkg.dev/acme-orders-dev/orders/orders@sha256:" + "0" * 64,
    "INGRESS": "all",
    "RUN_ACCOUNT": "orders-run@acme-orders-dev.iam.gserviceaccount.com",
    "CPU": "1",
    "MEMORY": "512Mi",
    "CONCURRENCY": "80",
    "TIMEOUT": "300",
    "MIN_INSTANCES": "0",
    "MAX_INSTANCES": "2",
    "DATABASE_INSTANCE": "acme-orders-dev:asia-southeast2:orders-dev",
    "DATABASE_NAME": "orders",
    "DATABASE_USER": "orders",
    "DATABASE_SECRET": "orders-db-password",
    "DATABASE_SECRET_VERSION": "3",
}


def substitute(text: str, values: Mapping[str, str]) -> str:
    """The text with each ${NAME} replaced; a KeyError names one that has no value."""
    return NAME.sub(lambda match: values[match[1]], text)


def rendered_manifest(folder: Path) -> Any:
    """A service's ci/cloud-run.yaml, read after the values of DEPLOYMENT were filled in."""
    return yaml.safe_load(substitute((folder / "ci/cloud-run.yaml").read_text("utf-8"), DEPLOYMENT))

"""The API keeps what its OpenAPI document says, whatever it is asked.

Schemathesis reads the document and asks a running service: the examples,
each constraint at its edges and beyond, made-up requests right and wrong,
and chains of them in which one takes what the other made. The same every
time; CONTRACT_EXAMPLES=1000 looks longer.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from src.dependencies.config import Settings
from tests.conftest import ROOT, temporary_database
from tests.processes import running

EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "10")
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


async def test_every_answer_is_as_documented(
    settings: Settings, tmp_path: Path
) -> None:
    environment = {
        "DATABASE__NAME": f"{settings.database.name}_contract",
    }
    async with temporary_database(environment["DATABASE__NAME"]):
        await asyncio.to_thread(check, environment, tmp_path)


def check(environment: dict[str, str], folder: Path) -> None:
    """Migrates the database, serves, and fails with what does not fit."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT / "db",
        env=os.environ | environment,
        check=True,
    )
    with running(environment, folder) as service:
        result = subprocess.run(
            [
                SCHEMATHESIS,
                "--no-color",
                "run",
                f"{service.url}/openapi.json",
                "--checks=all",
                f"--max-examples={EXAMPLES}",
                "--generation-deterministic",
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout

"""The service with routes that are careless with secrets, and that tell what
they were given."""

import sys

from fastapi import APIRouter, Request
from sqlalchemy import text

import src
from src.dependencies import HttpClient, Logger
from src.dependencies.database import Database

PROGRAM = [
    sys.executable,
    "-c",
    "from tests.exposing import serve; serve()",
]
ADDRESS_PASSWORD = "pw-of-an-address"
ADDRESS = f"postgresql://owner:{ADDRESS_PASSWORD}@db.example/orders"

router = APIRouter()


@router.post("/crash")
async def crash(request: Request) -> None:
    """Fails, and says all it knows."""
    header = request.headers.get("authorization")
    raise RuntimeError(f"no way to {ADDRESS} with authorization={header}")


@router.get("/careless")
async def careless(request: Request, logger: Logger) -> None:
    """Logs what it must not."""
    config = request.app.state.settings.database
    password = config.password.get_secret_value()
    logger.info(
        {
            "message": f"connecting with {password} to {ADDRESS}",
            "header": request.headers["authorization"],
        }
    )


@router.get("/database")
async def database(database: Database) -> None:
    """Needs the database."""
    await (await database.connection()).execute(text("SELECT 1"))


@router.get("/call")
async def call(url: str, key: str, client: HttpClient) -> str:
    """Calls another server, and tells its answer."""
    return (await client.get(url, params={"key": key})).text


@router.get("/client")
async def client(request: Request) -> list[str | None]:
    """Who called, by which scheme."""
    host = request.client.host if request.client else None
    return [host, request.url.scheme]


def serve() -> None:
    """Serves them with the service's own command."""
    src.app.include_router(router)
    src.server()

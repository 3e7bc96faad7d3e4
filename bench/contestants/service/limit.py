"""The limit: FastAPI on a raw asyncpg pool. No ORM, async dependencies only, no log, no trace.

The bench gives BENCH_DSN and BENCH_POOL. Made for the bench, to be compared with.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, Field

GET = "SELECT name, description, id, created_at, updated_at FROM items WHERE id = $1"
LIST = """
SELECT name, description, id, created_at, updated_at FROM items
ORDER BY created_at, id OFFSET $1 LIMIT $2
"""
COUNT = "SELECT count(*) FROM items"
INSERT = """
INSERT INTO items (id, name, description) VALUES ($1, $2, $3)
RETURNING name, description, id, created_at, updated_at
"""


class ItemCreate(BaseModel):
    """A new item."""

    name: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=1000)


class ItemPublic(BaseModel):
    """An item."""

    name: str
    description: str | None
    id: UUID
    created_at: datetime
    updated_at: datetime


class One[T](BaseModel):
    """One of them."""

    status: int = 200
    message: str
    data: T


class Page[T](BaseModel):
    """A page of them."""

    status: int = 200
    message: str
    data: list[T]
    page: int
    size: int
    total: int
    pages: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool."""
    size = int(os.environ["BENCH_POOL"])
    async with asyncpg.create_pool(os.environ["BENCH_DSN"], min_size=1, max_size=size) as pool:
        app.state.pool = pool
        yield


async def get_pool(request: Request) -> asyncpg.Pool:
    """The application's pool."""
    pool: asyncpg.Pool = request.app.state.pool
    return pool


Pool = Annotated[asyncpg.Pool, Depends(get_pool)]
app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health(pool: Pool) -> One[None]:
    """Whether the database answers."""
    await pool.fetchval("SELECT 1")
    return One(message="Ready", data=None)


@app.get("/items/{id}")
async def get_item(id: UUID, pool: Pool) -> One[ItemPublic]:
    """One item."""
    row = await pool.fetchrow(GET, id)
    if row is None:
        raise HTTPException(404)
    return One(message="Item found", data=ItemPublic(**row))


@app.get("/items/")
async def list_items(
    pool: Pool,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Page[ItemPublic]:
    """A page of items."""
    async with pool.acquire() as connection:
        total = await connection.fetchval(COUNT)
        rows = await connection.fetch(LIST, (page - 1) * size, size)
    return Page(
        message="Items found",
        data=[ItemPublic(**row) for row in rows],
        page=page,
        size=size,
        total=total,
        pages=-(-total // size),
    )


@app.post("/items/", status_code=201)
async def create_item(new: ItemCreate, pool: Pool) -> One[ItemPublic]:
    """A new item."""
    row = await pool.fetchrow(INSERT, uuid4(), new.name, new.description)
    return One(status=201, message="Item created", data=ItemPublic(**row))

"""Async SQLModel as people write it: a session for each request, entities, response_model.

The bench gives BENCH_URL (without its driver) and BENCH_POOL. Made for the bench.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Query
from models import Item, ItemCreate, ItemPublic, One, Page
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

engine = create_async_engine(
    f"postgresql+asyncpg://{os.environ['BENCH_URL']}",
    pool_size=int(os.environ["BENCH_POOL"]),
    max_overflow=0,
)
sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    """The request's session."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
app = FastAPI()


@app.get("/health", response_model=One[None])
async def health(session: Session) -> Any:
    """Whether the database answers."""
    await session.exec(select(1))
    return One(message="Ready", data=None)


@app.get("/items/{id}", response_model=One[ItemPublic])
async def get_item(id: UUID, session: Session) -> Any:
    """One item."""
    item = await session.get(Item, id)
    if item is None:
        raise HTTPException(404)
    return {"message": "Item found", "data": item}


@app.get("/items/", response_model=Page[ItemPublic])
async def list_items(
    session: Session,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Any:
    """A page of items."""
    total = (await session.exec(select(func.count()).select_from(Item))).one()
    query = select(Item).order_by(col(Item.created_at), col(Item.id))
    items = (await session.exec(query.offset((page - 1) * size).limit(size))).all()
    return {
        "message": "Items found",
        "data": items,
        "page": page,
        "size": size,
        "total": total,
        "pages": -(-total // size),
    }


@app.post("/items/", status_code=201, response_model=One[ItemPublic])
async def create_item(new: ItemCreate, session: Session) -> Any:
    """A new item."""
    item = Item.model_validate(new)
    session.add(item)
    await session.commit()
    await session.refresh(item)
    return {"status": 201, "message": "Item created", "data": item}

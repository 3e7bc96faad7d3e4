"""Sync SQLModel in the style of full-stack-fastapi-template: def endpoints, Session, psycopg.

The bench gives BENCH_URL (without its driver) and BENCH_POOL. Made for the bench.
"""

import os
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Query
from models import Item, ItemCreate, ItemPublic, One, Page
from sqlmodel import Session, col, create_engine, func, select

engine = create_engine(
    f"postgresql+psycopg://{os.environ['BENCH_URL']}",
    pool_size=int(os.environ["BENCH_POOL"]),
    max_overflow=0,
)


def get_db() -> Iterator[Session]:
    """The request's session."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_db)]
app = FastAPI()


@app.get("/health", response_model=One[None])
def health(session: SessionDep) -> Any:
    """Whether the database answers."""
    session.exec(select(1))
    return One(message="Ready", data=None)


@app.get("/items/{id}", response_model=One[ItemPublic])
def read_item(session: SessionDep, id: UUID) -> Any:
    """One item."""
    item = session.get(Item, id)
    if not item:
        raise HTTPException(status_code=404)
    return {"message": "Item found", "data": item}


@app.get("/items/", response_model=Page[ItemPublic])
def read_items(
    session: SessionDep,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Any:
    """A page of items."""
    count = session.exec(select(func.count()).select_from(Item)).one()
    query = select(Item).order_by(col(Item.created_at), col(Item.id))
    items = session.exec(query.offset((page - 1) * size).limit(size)).all()
    return {
        "message": "Items found",
        "data": items,
        "page": page,
        "size": size,
        "total": count,
        "pages": -(-count // size),
    }


@app.post("/items/", status_code=201, response_model=One[ItemPublic])
def create_item(*, session: SessionDep, item_in: ItemCreate) -> Any:
    """A new item."""
    item = Item.model_validate(item_in)
    session.add(item)
    session.commit()
    session.refresh(item)
    return {"status": 201, "message": "Item created", "data": item}

"""What every table has: a UUID key and two timestamps of the database's."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import Field as Example
from pydantic import StringConstraints
from sqlalchemy import DateTime, FetchedValue, func
from sqlmodel import Field, SQLModel

# PostgreSQL's text holds any character but NUL. Without an example the docs
# page would make up one from the pattern.
NO_NUL = r"^[^\x00]*$"
Text = Annotated[
    str,
    StringConstraints(pattern=NO_NUL),
    Example(examples=["text"]),
]

# PostgreSQL's own names depend on its version; ours are in the migrations.
SQLModel.metadata.naming_convention = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class BaseRow(SQLModel):
    """The fields that are never a caller's to write."""

    # Every write reads back what the database made of it.
    __mapper_args__ = {"eager_defaults": True}

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    created_at: datetime = Field(
        default=None,
        nullable=False,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.statement_timestamp()},
    )
    updated_at: datetime = Field(
        default=None,
        nullable=False,
        sa_type=DateTime(timezone=True),
        # A trigger moves it: see db/env.py.
        sa_column_kwargs={
            "server_default": func.statement_timestamp(),
            "server_onupdate": FetchedValue(),
        },
    )


class BaseInput(SQLModel):
    """What a caller sends: a field that we do not know is refused, and so is
    NaN, which JSON does not have."""

    model_config = {"extra": "forbid", "allow_inf_nan": False}

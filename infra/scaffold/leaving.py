"""The tables and columns that the code no longer uses, in `leaving` of db/alembic.ini: they are the
database's still, until a later release drops them."""

import re
from pathlib import Path

from infra.project import ProjectError

ALEMBIC = "db/alembic.ini"
LEAVING = re.compile(r"^(leaving[ \t]*=)(.*)$", re.MULTILINE)


def noted(folder: Path) -> list[str]:
    """Those that are noted: `products`, `products.weight`; none where nothing can be."""
    found = LEAVING.search(text_of(folder))
    return found.group(2).split() if found else []


def text_of(folder: Path) -> str:
    """The file; "" when it is not there."""
    path = folder / ALEMBIC
    return path.read_text("utf-8") if path.is_file() else ""


def leaving(folder: Path) -> list[str]:
    """Those that are noted. Raises ProjectError where there is no place to note one."""
    if LEAVING.search(text_of(folder)) is None:
        raise ProjectError(
            f"{folder / ALEMBIC}: it has no line “leaving =”, which keeps the table out of new"
            " migrations; write it into [alembic]"
        )
    return noted(folder)


def with_leaving(folder: Path, tables: list[str]) -> str:
    """alembic.ini with these leaving."""
    listed = " ".join(dict.fromkeys(tables))
    return LEAVING.sub(lambda found: f"{found.group(1)} {listed}".rstrip(), text_of(folder), 1)

"""timestamps

Revision: 0001, after nothing
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """To this revision."""
    op.execute(
        "CREATE FUNCTION touch_updated_at() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.updated_at = statement_timestamp(); RETURN NEW; "
        "END $$"
    )


def downgrade() -> None:
    """Back to the one before."""
    op.execute("DROP FUNCTION touch_updated_at()")

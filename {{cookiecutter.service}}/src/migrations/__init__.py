"""How a migration is kept from harming a service that runs: `db/env.py` runs
Alembic by it. The service itself imports nothing of this."""

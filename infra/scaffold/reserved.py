"""Words that are taken: by Python, by PostgreSQL, by what every service has from its template.

hooks/pre_gen_project.py has those of an entity's name too; it can't import this. A test holds both
equal.
"""

import builtins
import keyword

from pydantic import BaseModel

PYTHON_WORDS = {*keyword.kwlist, *keyword.softkwlist, "type"}
# What the site module adds to the builtins for people at a prompt is free to take.
BUILTINS = {*dir(builtins)} - {"copyright", "credits", "exit", "help", "license", "quit"}


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# PostgreSQL's documentation, appendix C: reserved, also those that can be a function or a type.
POSTGRESQL_WORDS = words("""
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window
    with
""")
SERVICE_NAMES = words("""
    about alembic_version api_contract app base base_repository behind_a_pooler body_flood browser
    caller class_injection config cors database database_outage database_pool database_query
    database_session db docs error errors field_types forwarded health hostile_requests http_client
    issuer_keys kept_secrets layers logger main metric metrics migration migration_run migrations
    page request_limits response server server_shutdown src tests tracer
""")
SERVICE_CLASSES = words("""
    APIRouter Annotated BaseError BaseInput BaseRow Depends ErrorResponse Field Literal Logger Page
    PageQuery Paging Query Response Sequence Service StillReferencedError Text UUID
""")
# Beside the hook's, what only a command's entity stands beside: the types of fields.
FIELD_TYPES = words("""
    Any Bool BoolQuery Bounds ClassVar Date DateTime Decimal Email Enum Exact Float Int IntQuery
    JSONB Json Literal Matching Number NumberQuery Query Real StrEnum Time Url Uuid Whole
    SQLModel StillReferencedError
""")

# A row's own columns.
ROW = words("id created_at updated_at")
# Of a query: which page, in which order. See the service's src/schemas/response.py.
QUERY = words("page size sort offset chosen order")
# What stands in the class of a model beside its fields, and what SQLModel's tables keep.
MODEL_NAMES = (
    {name for name in dir(BaseModel) if not name.startswith("_")}
    | {"metadata", "registry", "sa"}
    | {"list", "int", "float", "str", "bool", "unsent", "native_enum"}
)
MODEL_PREFIXES = ("model_dump", "model_validate", "model_fields", "sa_")

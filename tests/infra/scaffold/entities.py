"""Entities that the tests generate: the template's example, and ten with every type of field."""

from infra.scaffold.entity import Entity, Field, OnDelete, Text, Type
from infra.scaffold.template import FIELDS

ITEM = Entity("item", "items", FIELDS)

CATEGORY = Entity(
    "category",
    "categories",
    (
        Field("name", Type.STR, unique=True, maximum=80),
        Field("parent", Type.REF, target="Category", optional=True),
    ),
)
PRODUCT = Entity(
    "product",
    "products",
    (
        Field("name", Type.STR, unique=True, maximum=80),
        Field("price", Type.DECIMAL, gt="0", index=True),
        Field("stock", Type.INT, has_default=True, default=0),
        Field("category", Type.REF, target="Category"),
        Field("tags", Type.STR, is_list=True),
        Field("released_on", Type.DATE, optional=True),
        Field(
            "status",
            Type.ENUM,
            values=("draft", "live"),
            index=True,
            has_default=True,
            default="draft",
        ),
    ),
    unique=(("category_id", "name"),),
)
CUSTOMER = Entity(
    "customer",
    "customers",
    (
        Field("email", Type.STR, text=Text.EMAIL, unique=True),
        Field("site", Type.STR, text=Text.URL, optional=True, maximum=200),
        Field("code", Type.STR, pattern=r"^[A-Z]{2}-[0-9]+$", maximum=10, index=True),
        Field("active", Type.BOOL, index=True, has_default=True, default=True),
        Field("born_on", Type.DATE, index=True),
        Field("seen_at", Type.DATETIME, index=True, optional=True),
        Field("wakes_at", Type.TIME, index=True),
        Field("token", Type.UUID, unique=True),
    ),
)
PURCHASE = Entity(
    "purchase",
    "purchases",
    (
        Field("customer", Type.REF, target="Customer", on_delete=OnDelete.CASCADE),
        Field("number", Type.INT, ge="1", unique=True),
        Field("discount", Type.FLOAT, ge="0", lt="1", has_default=True, default=0.25),
        Field("extras", Type.JSON, has_default=True, default={}),
        Field("notes", Type.JSON, optional=True),
    ),
)
PURCHASE_LINE = Entity(
    "purchase_line",
    "purchase_lines",
    (
        Field("purchase", Type.REF, target="Purchase", on_delete=OnDelete.CASCADE),
        Field("product", Type.REF, target="Product"),
        Field("customer", Type.REF, target="Customer", on_delete=OnDelete.CASCADE),
        Field("amount", Type.INT, ge="1", le="99"),
        Field("rate", Type.DECIMAL, digits=6, places=4, ge="-1.5", le="1.5", optional=True),
        Field("paid", Type.DECIMAL, digits=9, places=0, has_default=True, default="7", index=True),
    ),
    unique=(("purchase_id", "product_id"),),
)
WAREHOUSE = Entity(
    "warehouse",
    "warehouses",
    (
        Field("short", Type.STR, minimum=3, maximum=3, index=True),
        Field("opens", Type.DATE, is_list=True, optional=True),
        Field("moments", Type.DATETIME, is_list=True, optional=True),
        Field("hours", Type.TIME, is_list=True, has_default=True, default=[]),
        Field("prices", Type.DECIMAL, is_list=True, minimum=2, maximum=4),
        Field("levels", Type.INT, is_list=True, ge="0", has_default=True, default=[1, 2]),
        Field("kinds", Type.ENUM, is_list=True, values=("cold", "dry"), maximum=2),
        Field("ids", Type.UUID, is_list=True, optional=True),
        Field("ratios", Type.FLOAT, is_list=True, optional=True),
        Field("flags", Type.BOOL, is_list=True, optional=True),
        Field("words", Type.STR, is_list=True, has_default=True, default=["a b", 'c"d']),
        Field("mails", Type.STR, is_list=True, text=Text.EMAIL, optional=True),
    ),
)
SHELF = Entity(
    "shelf",
    "shelves",
    (
        Field(
            "warehouse", Type.REF, target="Warehouse", on_delete=OnDelete.SET_NULL, optional=True
        ),
        Field("product", Type.REF, target="Product", unique=True, optional=True),
        Field("height", Type.FLOAT, gt="0", le="2.5"),
        Field("width", Type.FLOAT, optional=True),
        Field("level", Type.INT, lt="10", index=True),
        Field("temperature", Type.INT, ge="-40", le="40", index=True, optional=True),
    ),
)
REVIEW = Entity(
    "review",
    "reviews",
    (
        Field("product", Type.REF, target="Product", on_delete=OnDelete.CASCADE),
        Field("stars", Type.ENUM, values=("one", "two-half", "3"), index=True),
        Field("mood", Type.ENUM, values=("glad", "sad", "so so"), optional=True),
        Field("text", Type.STR, minimum=1),
        Field("written_on", Type.DATE, has_default=True, default="2026-01-02"),
        Field("at", Type.TIME, has_default=True, default="12:30:00"),
        Field("day", Type.DATE, optional=True, unique=True),
    ),
)
EVENT = Entity(
    "event",
    "events",
    (
        Field("review", Type.REF, target="Review", on_delete=OnDelete.SET_NULL, optional=True),
        Field(
            "source", Type.UUID, has_default=True, default="00000000-0000-4000-8000-000000000001"
        ),
        Field("at", Type.DATETIME, has_default=True, default="2026-01-02T12:00:00Z"),
        Field("kind", Type.STR, has_default=True, default='a "kind"', maximum=20),
        Field("body", Type.JSON),
    ),
)
CURRENCY_EXCHANGE_RATE = Entity(
    "currency_exchange_rate",
    "currency_exchange_rates",
    (
        Field("rate", Type.DECIMAL, digits=15, places=6, gt="0", unique=True),
        Field("per_unit", Type.DECIMAL, has_default=True, default="1.50", lt="100"),
        Field("is_final", Type.BOOL),
    ),
)

# What a product gets later.
MORE = Entity(
    "product",
    "products",
    (
        Field("weight", Type.FLOAT, optional=True),
        Field(
            "grade",
            Type.ENUM,
            values=("a", "b", "c"),
            has_default=True,
            default="a",
            index=True,
        ),
        Field("sku", Type.STR, optional=True, unique=True, maximum=20),
        Field("vendor", Type.REF, target="Category", optional=True),
        Field("maker", Type.STR, has_default=True, default="us", maximum=20),
    ),
)

# In an order in which what is referred to comes first.
TEN = (
    CATEGORY,
    PRODUCT,
    CUSTOMER,
    PURCHASE,
    PURCHASE_LINE,
    WAREHOUSE,
    SHELF,
    REVIEW,
    EVENT,
    CURRENCY_EXCHANGE_RATE,
)
TABLES = {each.class_name: each.plural for each in TEN}

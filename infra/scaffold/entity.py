"""What an entity is made of, as it was declared: its names, its fields, what is unique together."""

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """The types a field can have, by the word that declares each."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    DECIMAL = "Decimal"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    UUID = "UUID"
    JSON = "JSON"
    ENUM = "enum"
    REF = "ref"


class OnDelete(StrEnum):
    """What becomes of the rows that refer to one that is deleted."""

    RESTRICT = "restrict"
    CASCADE = "cascade"
    SET_NULL = "set_null"


class Text(StrEnum):
    """What a text can be beside any text."""

    EMAIL = "email"
    URL = "url"


@dataclass(frozen=True)
class Field:
    """One field. `name` is what was declared: the attribute and the column of a reference are
    `<name>_id` (`attribute`)."""

    name: str
    type: Type
    is_list: bool = False
    optional: bool = False
    unique: bool = False
    index: bool = False
    has_default: bool = False
    default: object = None
    """A value of the type, as JSON has it: a Decimal's is its text, an enum's is its value."""
    minimum: int | None = None
    """Of a text's characters, or of a list's items."""
    maximum: int | None = None
    pattern: str | None = None
    text: Text | None = None
    gt: str | None = None
    """Bounds of numbers, as they were written."""
    ge: str | None = None
    lt: str | None = None
    le: str | None = None
    digits: int = 12
    """Of a Decimal: digits in all, at most 15, and those behind the point."""
    places: int = 2
    values: tuple[str, ...] = ()
    """Of an enum."""
    target: str = ""
    """Of a reference: the class of the entity it refers to."""
    on_delete: OnDelete = OnDelete.RESTRICT

    @property
    def attribute(self) -> str:
        """The attribute of the models, the column of the table, the field of the JSON."""
        return f"{self.name}_id" if self.type is Type.REF else self.name

    @property
    def is_indexed(self) -> bool:
        """Whether lists can filter and sort by it: a reference always has an index."""
        return self.unique or self.index or self.type is Type.REF


@dataclass(frozen=True)
class Entity:
    """One entity. `name` is in snake_case (`line_item`), and so is `plural` (`line_items`), the
    name of its table."""

    name: str
    plural: str
    fields: tuple[Field, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    """The attributes of each group that is unique together."""

    @property
    def class_name(self) -> str:
        """`LineItem`."""
        return "".join(word[:1].upper() + word[1:] for word in self.name.split("_"))

    @property
    def words(self) -> str:
        """`line item`, as people read it."""
        return self.name.replace("_", " ")

    @property
    def plural_words(self) -> str:
        """`line items`."""
        return self.plural.replace("_", " ")

    @property
    def path(self) -> str:
        """`line-items`, the prefix of its routes."""
        return self.plural.replace("_", "-")

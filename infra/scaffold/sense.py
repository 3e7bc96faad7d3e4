"""What the words of one field can say together. What can't be is refused, with the reason."""

import re
from collections.abc import Iterator
from decimal import Decimal

from infra.scaffold.declared import Declared
from infra.scaffold.entity import OnDelete, Text, Type
from infra.scaffold.values import MOST

NUMBERS = {Type.INT, Type.FLOAT, Type.DECIMAL}
# RFC 8259, section 6: what any reader of JSON keeps of a number.
JSON_DIGITS = 15
LONGEST_TEXT = 10_485_760
# A row of an index of PostgreSQL's has to fit into a third of a page.
LONGEST_INDEXED = 600


def check(found: Declared) -> None:
    """Raises ProjectError at the first word that can't be where it is."""
    for rules in (of_kind, of_lengths, of_numbers, of_indexes, of_default, of_reference):
        for what, reason in rules(found):
            raise found.refuse(reason, what)


type Broken = Iterator[tuple[str, str]]


def of_kind(found: Declared) -> Broken:
    """What the type does not have."""
    field = found.field
    kind = f"list[{field.type}]" if field.is_list else str(field.type)
    for what in found.said:
        if what in {"gt", "ge", "lt", "le"} and field.type not in NUMBERS:
            instead = "; a text's length is min= and max=" if field.type is Type.STR else ""
            yield what, f"{what}= is for numbers, and {field.name} is {kind}{instead}"
        if what in {"min", "max"} and field.type is not Type.STR and not field.is_list:
            instead = {"min": "ge", "max": "le"}[what]
            hint = f"; did you mean {instead}=?" if field.type in NUMBERS else ""
            yield what, f"{what}= is for texts and lists, and {field.name} is {kind}{hint}"
        if what in {"pattern", "email", "url"} and field.type is not Type.STR:
            yield what, f"{what} is for texts, and {field.name} is {kind}"
        if what in {"digits", "places"} and field.type is not Type.DECIMAL:
            yield what, f"{what}= is for Decimal, and {field.name} is {kind}"
        if what == "on_delete" and field.type is not Type.REF:
            yield what, f"on_delete= is for ref, and {field.name} is {kind}"
    if field.pattern is not None and field.text is not None:
        yield "pattern", f"{field.text} is a pattern already"


def of_lengths(found: Declared) -> Broken:
    """Bounds of characters and items, and patterns."""
    field = found.field
    if field.maximum == 0:
        yield "max", "with max=0 there would be nothing in it"
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield "min", f"min={field.minimum} is more than max={field.maximum}"
    if field.type is Type.STR and (field.maximum or 0) > LONGEST_TEXT:
        yield "max", f"PostgreSQL has texts of at most max={LONGEST_TEXT}; leave max= out"
    if field.pattern is not None:
        try:
            re.compile(field.pattern)
        except re.error as error:
            yield "pattern", f"this is no regular expression: {error}"
        if re.search(r"\(\?[=!<]|\\[1-9]|\(\?P=", field.pattern):
            yield "pattern", "a pattern can't look around or back: pydantic's and JSON's have none"
    longest = {Text.EMAIL: 254, Text.URL: 2083}.get(field.text) if field.text else None
    if longest and not field.is_list and (field.maximum or 0) > longest:
        yield "max", f"an {field.text} has at most max={longest}; leave max= out"


def of_numbers(found: Declared) -> Broken:
    """Bounds of numbers and digits."""
    field = found.field
    if field.gt is not None and field.ge is not None:
        yield "ge", "gt= and ge= say the same side; leave one out"
    if field.lt is not None and field.le is not None:
        yield "le", "lt= and le= say the same side; leave one out"
    if field.digits > JSON_DIGITS:
        yield "digits", f"no JSON number keeps more than digits={JSON_DIGITS}"
    if field.digits < 1:
        yield "digits", "a Decimal has at least digits=1"
    if field.places > field.digits:
        word = "places" if "places" in found.said else "digits"
        yield word, f"places={field.places} is more than digits={field.digits}"
    for what in ("gt", "ge", "lt", "le"):
        bound = getattr(field, what)
        if bound is not None and field.type is Type.INT and "." in bound:
            yield what, f"{field.name} is int, and {bound} is not whole"
        if bound is not None and field.type is Type.INT and abs(Decimal(bound)) > MOST:
            yield what, f"no JSON number keeps a whole number beyond {MOST} exactly"
        limit = Decimal(10) ** (field.digits - field.places)
        if bound is not None and field.type is Type.DECIMAL and abs(Decimal(bound)) >= limit:
            yield what, f"no number of digits={field.digits} places={field.places} is there"
        behind = len(bound.partition(".")[2].rstrip("0")) if bound is not None else 0
        if field.type is Type.DECIMAL and behind > field.places:
            yield what, f"{bound} has more than places={field.places}"
    yield from between(found)


def between(found: Declared) -> Broken:
    """Whether there is a number between the bounds."""
    field = found.field
    low, high = field.gt or field.ge, field.lt or field.le
    if low is None or high is None:
        return
    what = "lt" if field.lt is not None else "le"
    lowest, highest = Decimal(low), Decimal(high)
    step = {Type.INT: Decimal(1), Type.DECIMAL: Decimal(10) ** -field.places}.get(field.type)
    if step is not None:
        lowest += step if field.gt is not None else 0
        highest -= step if field.lt is not None else 0
    is_open = step is None and (field.gt is not None or field.lt is not None)
    if lowest > highest or (is_open and lowest == highest):
        yield what, f"no {field.type} is between {low} and {high}"


def of_indexes(found: Declared) -> Broken:
    """What can't be unique, or looked up."""
    field = found.field
    word = "unique" if field.unique else "index"
    if not (field.unique or field.index):
        return
    if field.is_list:
        yield word, f"a list can't be {word}; what is looked up is an entity of its own"
    if field.type is Type.JSON:
        yield word, f"JSON can't be {word}; take out what is looked up as a field of its own"
    if field.type is Type.FLOAT:
        yield word, f"a float is never exact, so it can't be {word}; did you mean Decimal?"
    if field.type is Type.BOOL and field.unique:
        yield word, "two rows are all that a unique bool has; did you mean index?"
    if field.type is Type.ENUM and field.unique:
        yield word, "a unique enum has no more rows than values; did you mean index?"
    if field.type is Type.STR and (field.maximum or 0) > LONGEST_INDEXED:
        yield word, f"an index holds texts of at most max={LONGEST_INDEXED}"
    if field.unique and field.index:
        yield "index", "what is unique has an index already; leave index out"
    if field.type is Type.REF and field.index:
        yield "index", "a reference has an index already; leave index out"


def of_default(found: Declared) -> Broken:
    """What can't have a default."""
    if found.field.has_default and found.field.unique:
        yield "default", "only one row could have the default of a unique field"


def of_reference(found: Declared) -> Broken:
    """What becomes of rows that refer to one that is gone."""
    field = found.field
    if field.on_delete is OnDelete.SET_NULL and not field.optional:
        yield (
            "on_delete",
            "a reference that has to be there can't be set to null; did you mean"
            f" “{field.name}:ref {field.target}?”, or on_delete=cascade?",
        )
    if field.type is Type.REF and field.name.endswith("_id"):
        yield (
            "",
            f"a reference is named without _id, which its column gets; did you mean"
            f" “{field.name.removesuffix('_id')}:ref {field.target}”?",
        )

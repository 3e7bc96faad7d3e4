"""A default, as it was written → a value of the field's type, as JSON has it."""

import json
import re
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

from infra.scaffold.entity import Field, Text, Type
from infra.scaffold.lexer import nearest

MOST = 2**53 - 1
LARGEST = 1e300
EMAIL = re.compile(r"[^@\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
URL = re.compile(r"https?://[a-zA-Z0-9.-]+(:[0-9]{1,5})?([/?#][!-~]*)?")


def value_of(field: Field, text: str) -> object:
    """The value. Raises ValueError that says what would be one."""
    if field.is_list:
        if text != "[]":
            raise ValueError("the default of a list is default=[]")
        if field.minimum:
            raise ValueError(f"an empty list has fewer than min={field.minimum} items")
        return []
    if text.lower() in {"null", "none"}:
        if not field.optional and field.type is not Type.STR:
            raise ValueError("a field that has to be there is never null; write ? behind the type")
        if field.optional:
            raise ValueError("the default of an optional field is null already; leave default= out")
    if field.type in {Type.DECIMAL, Type.INT, Type.FLOAT}:
        return number(field, text)
    return READERS[field.type](field, text)


def number(field: Field, text: str) -> object:
    """A number within the field's bounds."""
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text):
        raise ValueError(f"“{text}” is no {field.type}, as in default=1")
    value = Decimal(text)
    broken = broken_bound(field, value)
    if broken:
        raise ValueError(f"the default is outside of {broken}")
    if field.type is Type.INT:
        if "." in text:
            raise ValueError(f"“{text}” is no int; did you mean {int(value)}?")
        if abs(value) > MOST:
            raise ValueError("no JSON number keeps a whole number beyond 9007199254740991 exactly")
        return int(text)
    if field.type is Type.FLOAT:
        return float(text)
    exponent = value.normalize().as_tuple().exponent
    behind = max(0, -exponent) if isinstance(exponent, int) else 0
    if behind > field.places:
        raise ValueError(f"the default has more than places={field.places}")
    if abs(value) >= Decimal(10) ** (field.digits - field.places):
        raise ValueError(f"the default has more than digits={field.digits}")
    return text


def broken_bound(field: Field, value: Decimal) -> str:
    """The bound that a number is outside of, as it was written; "" when it is within all."""
    fits = {
        "gt": field.gt is None or value > Decimal(field.gt),
        "ge": field.ge is None or value >= Decimal(field.ge),
        "lt": field.lt is None or value < Decimal(field.lt),
        "le": field.le is None or value <= Decimal(field.le),
    }
    return next((f"{name}={getattr(field, name)}" for name, fit in fits.items() if not fit), "")


def text_value(field: Field, text: str) -> str:
    """A text within its bounds."""
    if field.minimum is not None and len(text) < field.minimum:
        raise ValueError(f"the default is shorter than min={field.minimum}")
    if field.maximum is not None and len(text) > field.maximum:
        raise ValueError(f"the default is longer than max={field.maximum}")
    if field.pattern is not None and not re.search(field.pattern, text):
        raise ValueError(f"the default does not match pattern={field.pattern}")
    if field.text is Text.EMAIL and not EMAIL.fullmatch(text):
        raise ValueError("the default is no email address, as in default=team@example.com")
    if field.text is Text.URL and not URL.fullmatch(text):
        raise ValueError("the default is no URL, as in default=https://example.com")
    if not text.isprintable():
        raise ValueError("a default has no control characters")
    return text


def boolean(field: Field, text: str) -> bool:
    """True or false, in JSON's words."""
    if text.lower() not in {"true", "false"}:
        close = "false" if text.lower() in {"0", "no", "off", "n", "f"} else "true"
        raise ValueError(f"“{text}” is no bool; did you mean default={close}?")
    return text.lower() == "true"


def iso_date(field: Field, text: str) -> str:
    """A date."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"“{text}” is no date, as in default=2026-01-31")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ValueError(f"“{text}” is no date: {error}") from None


def iso_datetime(field: Field, text: str) -> str:
    """A time of a day, with its offset."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"“{text}” is no datetime, as in 2026-01-31T12:00:00+00:00") from None
    if value.tzinfo is None:
        raise ValueError(f"a datetime has its offset; did you mean {value.isoformat()}+00:00?")
    return value.isoformat()


def iso_time(field: Field, text: str) -> str:
    """A time of any day."""
    try:
        value = time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"“{text}” is no time, as in default=09:30") from None
    if value.tzinfo is not None:
        raise ValueError(f"a time has no offset; did you mean {value.replace(tzinfo=None)}?")
    return value.isoformat()


def uuid(field: Field, text: str) -> str:
    """A UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"“{text}” is no UUID") from None


def json_object(field: Field, text: str) -> object:
    """An object of JSON."""
    try:
        value: object = json.loads(text)
    except ValueError:
        raise ValueError("this is no JSON, as in default={}") from None
    if not isinstance(value, dict):
        raise ValueError("JSON is an object here, as in default={}")
    return value


def enum_value(field: Field, text: str) -> str:
    """One of the values."""
    if text not in field.values:
        close = nearest(text, field.values, field.values[0])
        raise ValueError(f"“{text}” is none of {', '.join(field.values)}; did you mean {close}?")
    return text


def reference(field: Field, text: str) -> object:
    """There is none: rows are not known here."""
    raise ValueError("a reference has no default: what it refers to may not be there")


READERS = {
    Type.STR: text_value,
    Type.BOOL: boolean,
    Type.DATE: iso_date,
    Type.DATETIME: iso_datetime,
    Type.TIME: iso_time,
    Type.UUID: uuid,
    Type.JSON: json_object,
    Type.ENUM: enum_value,
    Type.REF: reference,
}

"""A field's declaration → the field: `price:Decimal gt=0 default=1`.

What is wrong is refused at its place, with the nearest that would be right. What the words of one
field can say together is judged in sense.py; what the service has is not known here.
"""

import re
from dataclasses import replace

from infra.scaffold import names, sense
from infra.scaffold.declared import Declared
from infra.scaffold.entity import Field, OnDelete, Text, Type
from infra.scaffold.lexer import Declaration, Word, nearest, unquoted
from infra.scaffold.values import value_of

TYPES = {each.value: each for each in Type}
# What people call them elsewhere.
ALSO = {
    "string": "str",
    "text": "str",
    "varchar": "str",
    "char": "str",
    "integer": "int",
    "bigint": "int",
    "smallint": "int",
    "long": "int",
    "number": "Decimal",
    "numeric": "Decimal",
    "money": "Decimal",
    "double": "float",
    "real": "float",
    "boolean": "bool",
    "timestamp": "datetime",
    "timestamptz": "datetime",
    "dict": "JSON",
    "jsonb": "JSON",
    "object": "JSON",
    "any": "JSON",
    "array": "list[str]",
    "list": "list[str]",
    "set": "list[str]",
    "tuple": "list[str]",
    "choice": "enum[a,b]",
    "literal": "enum[a,b]",
    "fk": "ref Other",
    "foreignkey": "ref Other",
    "references": "ref Other",
    "email": "str email",
    "url": "str url",
    "emailstr": "str email",
    "httpurl": "str url",
}
BYTES = {"bytes", "bytea", "blob", "binary", "file", "image"}
FLAGS = {"unique", "index", "email", "url"}
LENGTHS = {"max": "maximum", "min": "minimum"}
BOUNDS = ("gt", "ge", "lt", "le")
DIGITS = ("digits", "places")
SETTINGS = (*LENGTHS, "pattern", *BOUNDS, *DIGITS, "default", "on_delete")
MODIFIERS = (*sorted(FLAGS), *(f"{name}=" for name in SETTINGS))
SAME_WORDS = {
    "required": "that is what a field is without ?",
    "nullable": "write ? behind the type",
    "optional": "write ? behind the type",
    "null": "write ? behind the type",
}
HOW = "a field is name:type and what holds for it, as in “price:Decimal gt=0”"


def parse_field(text: str) -> Field:
    """The field of a declaration. Raises ProjectError."""
    return parse(text).field


def parse(text: str) -> Declared:
    """The field of a declaration, with its words. Raises ProjectError."""
    declaration = Declaration(" ".join(text.splitlines()).strip())
    words = [*declaration.words()]
    if not words:
        raise declaration.refuse(Word("", 0), f"a field is declared by nothing; {HOW}")
    name, kind, rest = head(declaration, words)
    names.check_field(declaration, name)
    found = typed(declaration, name, kind, rest)
    for word in rest:
        found = modified(found, word)
    found = with_default(found)
    sense.check(found)
    return found


def head(declaration: Declaration, words: list[Word]) -> tuple[Word, Word, list[Word]]:
    """The name, the type, and what follows."""
    first, *rest = words
    before, colon, _ = first.text.partition(":")
    if not colon and rest and rest[0].text.startswith(":"):
        before, first, rest = first.text, rest[0], rest[1:]
        kind = first.after(1)
    elif not colon:
        modifier, equals, _ = before.partition("=")
        if (equals and modifier in SETTINGS) or before in FLAGS:
            said = f"“{before}” stands alone: put a field and all that holds for it in one pair of"
            raise declaration.refuse(first, f'{said} quotes, as in "price:Decimal gt=0"')
        said = f"“{before}” has no type: {HOW}"
        raise declaration.refuse(first, f"{said}; did you mean {before}:str?")
    else:
        kind = first.after(len(before) + 1)
    if not kind.text:
        if not rest:
            raise declaration.refuse(first, f"“{before}” has no type: {HOW}")
        kind, rest = rest[0], rest[1:]
    return Word(before, words[0].start), kind, rest


def typed(declaration: Declaration, name: Word, kind: Word, rest: list[Word]) -> Declared:
    """The field with its type; takes what belongs to it from the words that follow."""
    text, optional = kind.text.removesuffix("?"), kind.text.endswith("?")
    made = Field(name.text, Type.STR, optional=optional)
    if text == "ref":
        target, is_optional = target_of(declaration, kind, rest)
        made = replace(made, type=Type.REF, target=target.text, optional=optional or is_optional)
        return Declared(made, declaration, name, kind, target)
    outer, bracket, inner = text.partition("[")
    if outer == "enum":
        values = values_of(declaration, kind, inner if bracket else "")
        made = replace(made, type=Type.ENUM, values=values)
    elif outer == "list" and bracket:
        inside = Word(inner.removesuffix("]"), kind.start + len("list["))
        made = replace(made, type=item_of(declaration, inside), is_list=True)
    else:
        made = replace(made, type=type_of(declaration, Word(text, kind.start)))
    return Declared(made, declaration, name, kind)


def type_of(declaration: Declaration, word: Word) -> Type:
    """The type that a word is. Raises ProjectError with the nearest."""
    if word.text in TYPES:
        return TYPES[word.text]
    lower = word.text.lower()
    if lower in BYTES:
        raise declaration.refuse(
            word,
            f"“{word.text}” is for object storage: keep the bytes in a bucket of Cloud Storage, and"
            " here the object's name, as in “document:str max=1024”",
        )
    listed = [*TYPES, "list", "enum"]
    close = ALSO.get(lower) or nearest(lower, listed)
    hint = f"did you mean {close}?" if close else f"the types are {', '.join(TYPES)} and list[…]"
    raise declaration.refuse(word, f"“{word.text}” is no type; {hint}")


def item_of(declaration: Declaration, word: Word) -> Type:
    """The type of a list's items."""
    if word.text.endswith("?"):
        raise declaration.refuse(word, "an item of a list can't be missing; did you mean list[…]??")
    outer = re.split(r"[\[ ]", word.text)[0]
    if outer in {"list", "enum", "ref", "JSON"}:
        better = {"ref": "an entity between the two, with a ref to each"}
        hint = better.get(outer, "list[str], or a field of type JSON")
        raise declaration.refuse(word, f"a list has scalars, and no {outer}; use {hint}")
    return type_of(declaration, word)


def target_of(declaration: Declaration, kind: Word, rest: list[Word]) -> tuple[Word, bool]:
    """The class that a reference refers to, and whether a `?` stands behind it."""
    if not rest or "=" in rest[0].text or rest[0].text in FLAGS:
        raise declaration.refuse(kind, "ref needs the entity, as in “category:ref Category”")
    word = rest.pop(0)
    target = Word(word.text.removesuffix("?"), word.start)
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", target.text):
        likely = names.pascal(names.snake(target.text)) or "Category"
        raise declaration.refuse(
            target, f"“{target.text}” is no entity's class; did you mean {likely}?"
        )
    return target, word.text.endswith("?")


def values_of(declaration: Declaration, kind: Word, text: str) -> tuple[str, ...]:
    """The values of an enum."""
    values = tuple(each.strip().strip("\"'") for each in text.removesuffix("]").split(","))
    if not text or values == ("",):
        raise declaration.refuse(kind, "an enum needs its values, as in “status:enum[draft,live]”")
    members: dict[str, str] = {}
    for value in values:
        word = Word(value, kind.start + max(0, kind.text.find(value)))
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]*[A-Za-z0-9])?", value):
            raise declaration.refuse(
                word if value else kind,
                f"“{value}” can't be a value: letters, digits and single signs between them,"
                " as in “in-stock”",
            )
        if len(value) > names.LONGEST:
            raise declaration.refuse(word, "PostgreSQL keeps at most 63 bytes of a value")
        member = names.member(value)
        if member in members:
            both = f"“{members[member]}” and “{value}” would both be {member} in Python"
            if members[member] == value:
                both = f"“{value}” is there twice"
            raise declaration.refuse(Word(value, kind.start + kind.text.rfind(value)), both)
        members[member] = value
    return values


def modified(found: Declared, word: Word) -> Declared:
    """The field with one more modifier."""
    name, equals, _ = word.text.partition("=")
    value = word.after(len(name) + 1)
    known = name in SETTINGS if equals else name in FLAGS
    if not known:
        raise found.declaration.refuse(word, unknown(word.text, name, bool(equals)))
    if name in found.said or (name in {"email", "url"} and found.field.text):
        raise found.declaration.refuse(word, f"“{name}” is said twice, or email and url both are")
    if equals and not value.text:
        raise found.declaration.refuse(word, f"“{word.text}” has no value")
    said = {**found.said, name: word}
    return replace(found, field=set_on(found, name, value), said=said)


def unknown(text: str, name: str, has_value: bool) -> str:
    """What to say about a word that is no modifier."""
    if text == "?":
        return "? stands right behind the type, as in “date?”"
    if text.lower() in SAME_WORDS:
        return f"“{text}” is not needed: {SAME_WORDS[text.lower()]}"
    if has_value and name in FLAGS:
        return f"“{name}” has no value; did you mean {name}?"
    if not has_value and name in SETTINGS:
        return f"“{name}” needs a value, as in {name}={EXAMPLES[name]}"
    close = ALSO_MODIFIERS.get(name.lower()) or nearest(
        name, [each.removesuffix("=") for each in MODIFIERS]
    )
    if close:
        suffix = "=" + EXAMPLES[close] if close in EXAMPLES else ""
        return f"“{text}” is not known; did you mean {close}{suffix}?"
    return f"“{text}” is not known; what can be said: {', '.join(MODIFIERS)}"


EXAMPLES = {
    "max": "80",
    "min": "1",
    "pattern": "^[A-Z]+$",
    "gt": "0",
    "ge": "0",
    "lt": "100",
    "le": "100",
    "digits": "12",
    "places": "2",
    "default": "0",
    "on_delete": "cascade",
}
ALSO_MODIFIERS = {
    "max_length": "max",
    "min_length": "min",
    "length": "max",
    "regex": "pattern",
    "ondelete": "on_delete",
    "max_digits": "digits",
    "precision": "digits",
    "scale": "places",
    "decimal_places": "places",
}


def set_on(found: Declared, name: str, value: Word) -> Field:
    """The field with what the modifier says; a default waits until all of them are known."""
    made = found.field
    match name:
        case "unique":
            made = replace(made, unique=True)
        case "index":
            made = replace(made, index=True)
        case "email" | "url":
            made = replace(made, text=Text(name))
        case "pattern":
            made = replace(made, pattern=unquoted(value))
        case "on_delete":
            made = replace(made, on_delete=rule_of(found.declaration, value))
        case "min" | "max" | "digits" | "places":
            made = with_count(found, name, value)
        case "gt" | "ge" | "lt" | "le":
            made = with_bound(found, name, value)
    return made


def with_count(found: Declared, name: str, value: Word) -> Field:
    """The field with a number of characters, items or digits. Raises ProjectError."""
    made, number = found.field, whole(found.declaration, value, name)
    return replace(
        made,
        maximum=number if name == "max" else made.maximum,
        minimum=number if name == "min" else made.minimum,
        digits=number if name == "digits" else made.digits,
        places=number if name == "places" else made.places,
    )


def rule_of(declaration: Declaration, value: Word) -> OnDelete:
    """The rule for a deletion. Raises ProjectError."""
    if value.text not in [*OnDelete]:
        close = nearest(value.text, OnDelete, "restrict")
        said = f"on_delete is {', '.join(OnDelete)}; did you mean {close}?"
        raise declaration.refuse(value, said)
    return OnDelete(value.text)


def with_bound(found: Declared, name: str, value: Word) -> Field:
    """The field with a bound, which stays as it was written. Raises ProjectError."""
    made, bound = found.field, value.text
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", bound):
        said = f"{name}= needs a number, as in {name}={EXAMPLES[name]}"
        raise found.declaration.refuse(value, said)
    return replace(
        made,
        gt=bound if name == "gt" else made.gt,
        ge=bound if name == "ge" else made.ge,
        lt=bound if name == "lt" else made.lt,
        le=bound if name == "le" else made.le,
    )


def whole(declaration: Declaration, value: Word, name: str) -> int:
    """A count."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", value.text):
        said = f"{name}= needs a whole number, as in {name}={EXAMPLES[name]}"
        raise declaration.refuse(value, said)
    return int(value.text)


def with_default(found: Declared) -> Declared:
    """The field with the default that was said, now that its type and bounds are known."""
    word = found.said.get("default")
    if word is None:
        return found
    value = word.after(len("default="))
    try:
        default = value_of(found.field, unquoted(value))
    except ValueError as error:
        raise found.declaration.refuse(value, str(error)) from None
    return replace(found, field=replace(found.field, has_default=True, default=default))

"""A field's words: what they become, and what is said about those that can't be."""

from typing import Any

import pytest

from infra.project import ProjectError
from infra.scaffold.entity import Field, OnDelete, Text, Type
from infra.scaffold.words import parse_field

RIGHT: dict[str, dict[str, Any]] = {
    "name:str": {"type": Type.STR},
    "name: str": {"type": Type.STR},
    "name :str": {"type": Type.STR},
    "name:str?": {"type": Type.STR, "optional": True},
    "name:str unique max=80": {"type": Type.STR, "unique": True, "maximum": 80},
    "name:str min=1 max=255 index": {
        "type": Type.STR,
        "minimum": 1,
        "maximum": 255,
        "index": True,
    },
    "email:str email": {"type": Type.STR, "text": Text.EMAIL},
    "site:str? url max=200": {
        "type": Type.STR,
        "text": Text.URL,
        "optional": True,
        "maximum": 200,
    },
    "code:str pattern=^[A-Z]{2}$": {"type": Type.STR, "pattern": "^[A-Z]{2}$"},
    'code:str pattern="^a [b c]$" max=5': {
        "type": Type.STR,
        "pattern": "^a [b c]$",
        "maximum": 5,
    },
    "code:str default='in stock'": {"type": Type.STR, "has_default": True, "default": "in stock"},
    "stock:int default=0": {"type": Type.INT, "has_default": True, "default": 0},
    "stock:int ge=1 le=99 default=1": {
        "type": Type.INT,
        "ge": "1",
        "le": "99",
        "has_default": True,
        "default": 1,
    },
    "rate:float gt=0 lt=1.5": {"type": Type.FLOAT, "gt": "0", "lt": "1.5"},
    "price:Decimal gt=0": {"type": Type.DECIMAL, "gt": "0"},
    "price:Decimal digits=9 places=0 default=7": {
        "type": Type.DECIMAL,
        "digits": 9,
        "places": 0,
        "has_default": True,
        "default": "7",
    },
    "on_sale:bool index default=true": {
        "type": Type.BOOL,
        "index": True,
        "has_default": True,
        "default": True,
    },
    "released_on:date?": {"type": Type.DATE, "optional": True},
    "seen_at:datetime default=2026-01-31T12:00:00Z": {
        "type": Type.DATETIME,
        "has_default": True,
        "default": "2026-01-31T12:00:00+00:00",
    },
    "opens_at:time default=09:30": {
        "type": Type.TIME,
        "has_default": True,
        "default": "09:30:00",
    },
    "token:UUID unique": {"type": Type.UUID, "unique": True},
    "extras:JSON default={}": {"type": Type.JSON, "has_default": True, "default": {}},
    "tags:list[str]": {"type": Type.STR, "is_list": True},
    "tags:list[str]? max=5": {
        "type": Type.STR,
        "is_list": True,
        "optional": True,
        "maximum": 5,
    },
    "sizes:list[int] default=[]": {
        "type": Type.INT,
        "is_list": True,
        "has_default": True,
        "default": [],
    },
    "status:enum[draft,live] index default=draft": {
        "type": Type.ENUM,
        "values": ("draft", "live"),
        "index": True,
        "has_default": True,
        "default": "draft",
    },
    "status:enum[in stock, sold]?": {
        "type": Type.ENUM,
        "values": ("in stock", "sold"),
        "optional": True,
    },
    "category:ref Category": {"type": Type.REF, "target": "Category"},
    "category:ref Category?": {"type": Type.REF, "target": "Category", "optional": True},
    "category:ref? Category on_delete=set_null": {
        "type": Type.REF,
        "target": "Category",
        "optional": True,
        "on_delete": OnDelete.SET_NULL,
    },
}


@pytest.mark.parametrize("text", RIGHT)
def test_words_become_a_field(text: str) -> None:
    name = text.partition(":")[0].strip()
    assert parse_field(text) == Field(name, **RIGHT[text])


# The words, what is pointed at, and what is said about it.
WRONG = [
    ("", "", "a field is name:type"),
    ("name", "name", "did you mean name:str?"),
    ("unique", "unique", "in one pair of quotes"),
    ("name:", "name:", "has no type"),
    ("Name:str", "Name", "did you mean name?"),
    ("first-name:str", "first-name", "did you mean first_name?"),
    ("createdAt:date", "createdAt", "did you mean created_at?"),
    ("name:strng", "strng", "did you mean str?"),
    ("name:string", "string", "did you mean str?"),
    ("price:decimal", "decimal", "did you mean Decimal?"),
    ("id2:uuid", "uuid", "did you mean UUID?"),
    ("extras:json", "json", "did you mean JSON?"),
    ("seen:timestamp", "timestamp", "did you mean datetime?"),
    ("scan:bytes", "bytes", "object storage"),
    ("name:xyzzy", "xyzzy", "the types are str, int"),
    ("tags:list[strng]", "strng", "did you mean str?"),
    ("tags:list[str", "[str", "this bracket is not closed"),
    ("tags:list", "list", "did you mean list[str]?"),
    ("tags:list[list[str]]", "list[str]", "a list has scalars"),
    ("tags:list[str?]", "str?", "can't be missing"),
    ("tags:list[ref Tag]", "ref Tag", "an entity between the two"),
    ("code:str pattern='^a", "'^a", "this quote is not closed"),
    ("code:str pattern=[", "pattern=[", "no regular expression"),
    ("code:str pattern=^(?=a)", "pattern=^(?=a)", "look around"),
    ("name:str uniqe", "uniqe", "did you mean unique?"),
    ("name:str max_length=8", "max_length=8", "did you mean max=80?"),
    ("name:str maxx=8", "maxx=8", "did you mean max=80?"),
    ("name:str max", "max", "needs a value, as in max=80"),
    ("name:str max=", "max=", "has no value"),
    ("name:str max=ten", "ten", "needs a whole number"),
    ("name:str max=0", "max=0", "nothing in it"),
    ("name:str min=9 max=8", "min=9", "more than max=8"),
    ("name:str unique=1", "unique=1", "did you mean unique?"),
    ("name:str max=8 max=9", "max=9", "said twice"),
    ("name:str required", "required", "not needed"),
    ("name:str nullable", "nullable", "write ?"),
    ("name:str ?", "?", "right behind the type"),
    ("name:str gt=0", "gt=0", "is for numbers"),
    ("stock:int max=9", "max=9", "did you mean le=?"),
    ("stock:int gt=1.5", "gt=1.5", "not whole"),
    ("stock:int gt=0 ge=0", "ge=0", "the same side"),
    ("stock:int gt=0 lt=1", "lt=1", "no int is between"),
    ("stock:int gt=zero", "zero", "needs a number"),
    ("stock:int digits=3", "digits=3", "is for Decimal"),
    ("price:Decimal digits=16", "digits=16", "no JSON number keeps more"),
    ("price:Decimal digits=2 places=3", "places=3", "more than digits=2"),
    ("price:Decimal gt=0.001", "gt=0.001", "more than places=2"),
    ("price:Decimal digits=4 lt=1000", "lt=1000", "no number of digits=4"),
    ("stock:int default=a", "a", "is no int"),
    ("stock:int default=1.5", "1.5", "did you mean 1?"),
    ("stock:int gt=0 default=0", "0", "outside of gt=0"),
    ("stock:int default=9007199254740992", "9007199254740992", "no JSON number keeps"),
    ("price:Decimal default=1.234", "1.234", "more than places=2"),
    ("name:str max=3 default=four", "four", "longer than max=3"),
    ("code:str pattern=^[A-Z]$ default=a", "a", "does not match"),
    ("on:bool default=yes", "yes", "did you mean default=true?"),
    ("day:date default=2026-02-30", "2026-02-30", "is no date"),
    ("at:datetime default=2026-01-31T12:00", "2026-01-31T12:00", "+00:00?"),
    ("at:time default=25:00", "25:00", "is no time"),
    ("extras:JSON default=[]", "[]", "JSON is an object here"),
    ("status:enum[draft,live] default=lve", "lve", "did you mean live?"),
    ("status:enum", "enum", "needs its values"),
    ("status:enum[]", "enum[]", "needs its values"),
    ("status:enum[a-b,a_b]", "a_b", "would both be A_B"),
    ("status:enum[a,a]", "a", "twice"),
    ("status:enum[a,]", "enum[a,]", "can't be a value"),
    ("tags:list[str] default=a", "a", "default=[]"),
    ("tags:list[str] unique", "unique", "a list can't be unique"),
    ("extras:JSON index", "index", "JSON can't be index"),
    ("rate:float unique", "unique", "did you mean Decimal?"),
    ("name:str unique max=5 default=a", "default=a", "only one row"),
    ("name:str unique index max=5", "index", "has an index already"),
    ("name:str unique max=2000", "unique", "at most max=600"),
    ("stock:int email", "email", "is for texts"),
    ("name:str email url", "url", "email and url both"),
    ("name:str on_delete=cascade", "on_delete=cascade", "is for ref"),
    ("category:ref", "ref", "as in “category:ref Category”"),
    ("category:ref category", "category", "did you mean Category?"),
    ("category_id:ref Category", "ref", "without _id"),
    ("category:ref Category index", "index", "has an index already"),
    ("category:ref Category on_delete=cascad", "cascad", "did you mean cascade?"),
    (
        "category:ref Category on_delete=set_null",
        "on_delete=set_null",
        "did you mean “category:ref Category?”",
    ),
    ("category:ref Category default=a", "a", "a reference has no default"),
    ("name:str? default=null", "null", "leave default= out"),
]


@pytest.mark.parametrize(("text", "pointed_at", "said"), WRONG)
def test_a_wrong_word_is_refused_at_its_place(text: str, pointed_at: str, said: str) -> None:
    with pytest.raises(ProjectError) as refusal:
        parse_field(text)
    reason, shown, caret, nothing = str(refusal.value).split("\n")
    start, length = len(caret) - len(caret.lstrip()), caret.count("^")
    assert shown[start : start + length] == pointed_at
    assert said in reason
    assert shown == f"  {text}"
    assert nothing == "nothing was written"

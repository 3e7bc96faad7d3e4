"""SQL → its statements, and what each takes from a version of the service that runs.

It splits by PostgreSQL's lexical rules and reads the few statements that can break somebody;
whether they do is for schema.py.
https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<dollar>(?P<tag>\$(?:[A-Za-z_]\w*)?\$)(?P<body>.*?)(?P=tag))
    |(?P<escaped>[Ee]'(?:\\.|''|[^'\\])*')
    |(?P<string>'(?:''|[^'])*')
    |(?P<quoted>"(?:""|[^"])+")
    |(?P<word>[^\W\d][\w$]*)
    |(?P<number>\d[\w.]*)
    |(?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)
TEXT = ("dollar", "escaped", "string")
# What stands before a statement in a block of PL/pgSQL.
OF_A_BLOCK = {"BEGIN", "THEN", "ELSE", "LOOP", "DECLARE"}
OBJECTS = {"TYPE", "DOMAIN", "VIEW", "FUNCTION", "PROCEDURE", "SEQUENCE", "SCHEMA", "EXTENSION"}
# What ends a type in ALTER COLUMN … TYPE and in ADD COLUMN.
AFTER_TYPE = {"USING", "COLLATE", "NOT", "NULL", "DEFAULT", "PRIMARY", "UNIQUE", "CHECK"}
AFTER_TYPE |= {"REFERENCES", "GENERATED", "CONSTRAINT", "STORAGE", "COMPRESSION"}
GIVES_A_VALUE = {"DEFAULT", "GENERATED", "SERIAL", "BIGSERIAL", "SMALLSERIAL"}
SYNONYMS = {
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "INT2": "SMALLINT",
    "BOOL": "BOOLEAN",
    "DECIMAL": "NUMERIC",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
}
INTEGERS = ("SMALLINT", "INTEGER", "BIGINT")


@dataclass(frozen=True)
class Token:
    """A word in capitals, a sign, or a name as PostgreSQL knows it."""

    kind: str
    text: str
    name: str
    start: int


@dataclass(frozen=True)
class Statement:
    """A statement without its semicolon; `line` is that of its first word, from 1."""

    text: str
    line: int
    tokens: tuple[Token, ...]

    @cached_property
    def words(self) -> str:
        """Its words and signs in capitals, a space between them; its strings are left out."""
        return " ".join(each.text for each in self.tokens if each.kind not in TEXT)

    def starts(self, *words: str) -> bool:
        """Whether it begins with the words, or one of several such."""
        return any(f"{self.words} ".startswith(f"{each} ") for each in words)

    @property
    def short(self) -> str:
        """It in one line, for an error."""
        line = " ".join(self.text.split())
        return line if len(line) <= 150 else f"{line[:147]}..."


@dataclass(frozen=True)
class Taken:
    """What a statement takes from whoever relies on it: a column, or with "" the whole table.

    `how` is "drops", "renames", "retypes" (then `type` is the new one), or "requires": a value in
    every row from now on.
    """

    table: str
    column: str
    how: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.how} {self.table}{'.' if self.column else ''}{self.column}"


@dataclass(frozen=True)
class Effect:
    """What a migration does to others. `opaque` are the statements that take something away which
    is no column: a type, a view."""

    takes: tuple[Taken, ...] = ()
    opaque: tuple[Statement, ...] = ()
    creates: frozenset[str] = frozenset()
    """The tables that it creates, of which nobody else knows."""


def split(sql: str) -> Iterator[Statement]:
    """The statements of a text, in order; comments are left out."""
    tokens: list[Token] = []
    for match in TOKEN.finditer(sql):
        kind = match.lastgroup or ""
        if match["dollar"] is not None:
            kind = "dollar"
        if kind == "comment":
            continue
        if match[0] == ";":
            yield from statement(sql, tokens, match.start())
            tokens = []
        else:
            tokens.append(token(kind, match))
    yield from statement(sql, tokens, len(sql))


def token(kind: str, match: re.Match[str]) -> Token:
    """The token of a match."""
    text = match[0]
    if kind == "quoted":
        return Token(kind, text, text[1:-1].replace('""', '"'), match.start())
    if kind == "dollar":
        return Token(kind, text, match["body"], match.start())
    return Token(kind, text if kind in TEXT else text.upper(), text.lower(), match.start())


def statement(sql: str, tokens: list[Token], end: int) -> Iterator[Statement]:
    """The statement of the tokens, when there are any."""
    if tokens:
        start = tokens[0].start
        yield Statement(sql[start:end].strip(), sql.count("\n", 0, start) + 1, tuple(tokens))


def effect_of(sql: str) -> Effect:
    """What the statements of a migration take away together. What is made in it was nobody's."""
    statements = list(split(sql))
    created = {made for each in statements for made in creates(each)}
    given = {made for each in statements for made in gives(each)}
    takes, opaque = [], []
    for each in statements:
        for one in taken_by(each):
            own = (one.table, one.column) in given and one.how != "drops"
            if one.table not in created and not own:
                takes.append(one)
        if is_opaque(each, statements):
            opaque.append(each)
    return Effect(tuple(dict.fromkeys(takes)), tuple(opaque), frozenset(created))


def creates(statement: Statement) -> Iterator[str]:
    """The table a statement creates."""
    if re.match(r"CREATE (\w+ )?(\w+ )?TABLE ", statement.words):
        reader = Reader(list(statement.tokens))
        reader.skip_past("TABLE")
        reader.skip("IF", "NOT", "EXISTS")
        yield reader.name()


def gives(statement: Statement) -> Iterator[tuple[str, str]]:
    """The columns a statement adds that have a value without being given one."""
    for table, action in actions(statement):
        if added := added_column(action):
            column, rest = added
            if GIVES_A_VALUE & {each.text for each in rest}:
                yield table, column


def taken_by(statement: Statement) -> Iterator[Taken]:
    """What a statement takes away; that of a DO block too, as far as it is written there."""
    if statement.starts("DO"):
        for block in (each for each in statement.tokens if each.kind == "dollar"):
            for inner in split(block.name):
                yield from taken_by(without_block(inner))
    elif statement.starts("DROP TABLE"):
        reader = Reader(list(statement.tokens[2:]))
        reader.skip("IF", "EXISTS")
        yield Taken(reader.name(), "", "drops")
        while reader.skip(","):
            yield Taken(reader.name(), "", "drops")
    else:
        for table, action in actions(statement):
            yield from taken_by_action(table, action)


def without_block(statement: Statement) -> Statement:
    """A statement without the words of PL/pgSQL before it."""
    words = [each.text for each in statement.tokens]
    last = max((i for i, word in enumerate(words) if word in OF_A_BLOCK), default=-1)
    return Statement(statement.text, statement.line, statement.tokens[last + 1 :])


def actions(statement: Statement) -> Iterator[tuple[str, list[Token]]]:
    """The table and each action of an ALTER TABLE."""
    if not statement.starts("ALTER TABLE"):
        return
    reader = Reader(list(statement.tokens[2:]))
    reader.skip("IF", "EXISTS")
    reader.skip("ONLY")
    table = reader.name()
    reader.skip("*")
    action: list[Token] = []
    depth = 0
    for each in reader.rest:
        depth += {"(": 1, ")": -1}.get(each.text, 0)
        if each.text == "," and not depth:
            yield table, action
            action = []
        else:
            action.append(each)
    yield table, action


def taken_by_action(table: str, action: list[Token]) -> Iterator[Taken]:
    """What one action of an ALTER TABLE takes away."""
    reader = Reader(action)
    if added := added_column(action):
        column, rest = added
        words = [each.text for each in rest]
        is_required = "NOT" in words and words[words.index("NOT") + 1 :][:1] == ["NULL"]
        if (is_required or "PRIMARY" in words) and not GIVES_A_VALUE & set(words):
            yield Taken(table, column, "requires")
    elif reader.skip("DROP"):
        if reader.next not in {"CONSTRAINT", "EXPRESSION"}:
            reader.skip("COLUMN")
            reader.skip("IF", "EXISTS")
            yield Taken(table, reader.name(), "drops")
    elif reader.skip("RENAME"):
        if reader.skip("TO"):
            yield Taken(table, "", "renames")
        elif reader.next != "CONSTRAINT":
            reader.skip("COLUMN")
            yield Taken(table, reader.name(), "renames")
    elif reader.skip("SET", "SCHEMA"):
        yield Taken(table, "", "renames")
    elif reader.skip("ALTER") and reader.next != "CONSTRAINT":
        reader.skip("COLUMN")
        column = reader.name()
        if reader.skip("SET", "NOT", "NULL"):
            yield Taken(table, column, "requires")
        elif reader.skip("SET", "DATA", "TYPE") or reader.skip("TYPE"):
            yield Taken(table, column, "retypes", type_of(reader.rest))


def added_column(action: list[Token]) -> tuple[str, list[Token]] | None:
    """The name and the rest of a column that an action adds; None when it adds none."""
    reader = Reader(action)
    if not reader.skip("ADD"):
        return None
    is_column = reader.skip("COLUMN")
    others = {"CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE"}
    if not is_column and reader.next in others:
        return None
    reader.skip("IF", "NOT", "EXISTS")
    return reader.name(), reader.rest


def is_opaque(statement: Statement, all_of_them: list[Statement]) -> bool:
    """Whether it takes something away that is no column, and does not bring it back."""
    if re.match(r"ALTER TYPE .* RENAME (?!TO \w+$)", statement.words):
        return True
    if re.match(r"ALTER (TYPE|VIEW|FUNCTION|SCHEMA|DOMAIN) .* RENAME TO ", statement.words):
        return True
    match = re.match(r"DROP (MATERIALIZED )?(\w+) ", statement.words)
    if not match or match[2] not in OBJECTS:
        return False
    reader = Reader(list(statement.tokens[2 + bool(match[1]) :]))
    reader.skip("IF", "EXISTS")
    name = reader.name()
    return not any(
        re.match(rf"CREATE (\w+ )*{match[2]} ", each.words)
        and any(one.name == name for one in each.tokens)
        for each in all_of_them
    )


class Reader:
    """Reads a list of tokens from its beginning."""

    def __init__(self, tokens: list[Token]) -> None:
        self.rest = tokens

    @property
    def next(self) -> str:
        """The next word or sign; "" at the end."""
        return self.rest[0].text if self.rest else ""

    def skip(self, *words: str) -> bool:
        """Goes past the words when they are next. Returns whether they were."""
        if [each.text for each in self.rest[: len(words)]] != list(words):
            return False
        self.rest = self.rest[len(words) :]
        return True

    def skip_past(self, word: str) -> None:
        """Goes past the first such word."""
        while self.rest and not self.skip(word):
            self.rest = self.rest[1:]

    def name(self) -> str:
        """The name that is next, with its schema unless that is public; "" at the end."""
        parts = [self.rest.pop(0).name] if self.rest else [""]
        while self.next == "." and len(self.rest) > 1:
            parts.append(self.rest[1].name)
            self.rest = self.rest[2:]
        return ".".join(
            part for i, part in enumerate(parts) if i or part != "public" or not parts[1:]
        )


def type_of(tokens: list[Token]) -> str:
    """The type that the tokens begin with."""
    words = []
    for each in tokens:
        if each.text in AFTER_TYPE:
            break
        words.append(each.text)
    return normal(" ".join(words))


def normal(type_: str) -> str:
    """A type as SQLAlchemy writes it, whichever of its names was used."""
    text = re.sub(r"\s*([(),])\s*", r"\1", " ".join(type_.upper().split())).replace(",", ", ")
    text = text.replace("CHARACTER VARYING", "VARCHAR")
    base, bracket, size = text.partition("(")
    return SYNONYMS.get(base.strip(), base.strip()) + bracket + size


def is_wider(new: str, old: str) -> bool:
    """Whether who knows a column of the old type can live with the new one."""
    new, old = normal(new), normal(old)
    if new == old:
        return True
    if old in INTEGERS and new in INTEGERS:
        return INTEGERS.index(new) > INTEGERS.index(old)
    text = re.fullmatch(r"VARCHAR\((\d+)\)", old)
    longer = re.fullmatch(r"VARCHAR\((\d+)\)", new)
    if text and longer:
        return int(longer[1]) >= int(text[1])
    return (text is not None or old == "VARCHAR") and new in {"VARCHAR", "TEXT"}

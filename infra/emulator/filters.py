"""Cloud Logging's filter language (its page "Logging query language"), the part that is in use.

Comparisons of fields with =, !=, <, <=, >, >=, : (has), =~ and !~; AND, OR, NOT, -, parentheses;
bare words search everywhere. Functions are not understood, and said so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.emulator import errors, patterns

type Entry = dict[str, Any]
type Test = Callable[[Entry], bool]

SEVERITIES = {
    "DEFAULT": 0,
    "DEBUG": 100,
    "INFO": 200,
    "NOTICE": 300,
    "WARNING": 400,
    "ERROR": 500,
    "CRITICAL": 600,
    "ALERT": 700,
    "EMERGENCY": 800,
}

_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>--[^\n]*)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<mark>=~|!~|!=|<=|>=|[=<>:(),])|(?P<word>(?:[^\s"'=<>:()!,]|!(?![=~]))+))"""
)
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", ":", "=~", "!~")

_FROM = [("word", "AND"), ("word", "timestamp"), ("mark", ">=")]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def parse(text: str) -> Test:
    """Returns what tells whether an entry matches; 400 where the filter is wrong."""
    parser = _Parser(list(_tokens(text)))
    return parser.parse() if parser.tokens else lambda entry: True


def since(text: str) -> datetime | None:
    """The time that a filter's last condition asks entries to be from, for who need not read those
    before it: `... AND timestamp>="2026-01-02T03:04:05Z"`."""
    tokens = list(_tokens(text))
    depth = sum({"(": 1, ")": -1}.get(each.text, 0) for each in tokens if each.kind == "mark")
    last = tokens[-4:] if len(tokens) > 3 else [_Token("word", "AND"), *tokens]
    if depth or len(last) != 4 or [(each.kind, each.text) for each in last[:3]] != _FROM:
        return None
    return moment(last[3].text)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise _wrong(text[position:].strip())
        position = found.end()
        if found["text"] is not None:
            yield _Token("text", re.sub(r"\\(.)", r"\1", found["text"][1:-1]))
        elif found["mark"] is not None:
            yield _Token("mark", found["mark"])
        elif found["word"] is not None:
            yield _Token("word", found["word"])


class _Parser:
    """Recursive descent: OR binds closer than AND here, as it does in Logging."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.position = 0

    def parse(self) -> Test:
        test = self._all()
        if self.position < len(self.tokens):
            raise _wrong(self.tokens[self.position].text)
        return test

    def _all(self) -> Test:
        tests = [self._any()]
        while self.position < len(self.tokens) and self._peek() != _Token("mark", ")"):
            self._take("AND")
            tests.append(self._any())
        return lambda entry: all(test(entry) for test in tests)

    def _any(self) -> Test:
        tests = [self._one()]
        while self._take("OR"):
            tests.append(self._one())
        return lambda entry: any(test(entry) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT"):
            denied = self._one()
            return lambda entry: not denied(entry)
        token = self._next()
        if token == _Token("mark", "("):
            inside = self._all()
            if self._next() != _Token("mark", ")"):
                raise _wrong("(")
            return inside
        if token.kind == "mark":
            raise _wrong(token.text)
        if token.kind == "word" and token.text.startswith("-") and len(token.text) > 1:
            self.position -= 1
            self.tokens[self.position] = _Token("word", token.text[1:])
            denied = self._one()
            return lambda entry: not denied(entry)
        return self._comparison(token)

    def _comparison(self, field: _Token) -> Test:
        path = [field.text] if field.kind == "text" else _path(field.text)
        # A quoted part of a field: labels."a.b/c", which the words before it end with a dot for.
        while field.kind == "word" and path[-1] == "" and self._peek().kind == "text":
            path[-1] = self._next().text
            if self._peek().kind == "word" and self._peek().text.startswith("."):
                path += _path(self._next().text[1:])
        operator = self._peek()
        if operator.kind != "mark" or operator.text not in _OPERATORS:
            if operator == _Token("mark", "("):
                raise errors.unimplemented(f"the function {field.text} of Logging's filters")
            word = field.text.lower()
            return lambda entry: any(word in str(value).lower() for value in _leaves(entry))
        self.position += 1
        if self._take_mark("("):
            return self._choices(path, operator.text)
        value = self._next()
        if value.kind == "mark":
            raise _wrong(value.text)
        return _test(path, operator.text, value.text)

    def _choices(self, path: list[str], operator: str) -> Test:
        """`field=("a" OR "b")`."""
        tests = []
        while True:
            value = self._next()
            if value.kind == "mark":
                raise _wrong(value.text)
            tests.append(_test(path, operator, value.text))
            if self._take_mark(")"):
                return lambda entry: any(test(entry) for test in tests)
            if not self._take("OR"):
                raise _wrong(value.text)

    def _peek(self) -> _Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else _Token("", "")

    def _next(self) -> _Token:
        token = self._peek()
        if not token.kind:
            raise _wrong("the end")
        self.position += 1
        return token

    def _take(self, word: str) -> bool:
        return self._take_token(_Token("word", word))

    def _take_mark(self, mark: str) -> bool:
        return self._take_token(_Token("mark", mark))

    def _take_token(self, token: _Token) -> bool:
        if self._peek() == token:
            self.position += 1
            return True
        return False


def _test(path: list[str], operator: str, text: str) -> Test:
    compare = _comparer(path, operator, text)
    if operator in ("!=", "!~"):
        return lambda entry: not any(compare(value) for value in _values(entry, path))
    return lambda entry: any(compare(value) for value in _values(entry, path))


def _comparer(path: list[str], operator: str, text: str) -> Callable[[Any], bool]:
    if operator == ":":
        wanted = text.lower()
        return lambda value: (
            text == "*" or any(wanted in str(leaf).lower() for leaf in _leaves(value))
        )
    if operator in ("=~", "!~"):
        pattern = patterns.compile_re2(text)
        return lambda value: isinstance(value, str) and pattern.search(value) is not None
    key = _key(path)
    try:
        right = key(text)
    except (ValueError, KeyError):
        raise errors.invalid(f"Unparseable filter: invalid value '{text}'.", "filter") from None

    def compare(value: Any) -> bool:
        try:
            left = key(value)
            return bool(_COMPARE[operator](left, right))
        except (ValueError, KeyError, TypeError):
            return False

    return compare


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _key(path: list[str]) -> Callable[[Any], Any]:
    if path == ["severity"]:
        return lambda value: SEVERITIES[str(value).upper()]
    if path in (["timestamp"], ["receiveTimestamp"]):
        return lambda value: moment(str(value))
    return _plain


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return (1, str(value).lower())
    try:
        return (0, float(value))
    except ValueError:
        return (1, value)


def moment(text: str) -> datetime:
    """Reads an RFC 3339 time, or a day, taken for UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _path(text: str) -> list[str]:
    return [_camel(part) if i == 0 else part for i, part in enumerate(text.split("."))]


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _values(entry: Any, path: list[str]) -> list[Any]:
    """What is at a path; names are tried as they are written and in camelCase."""
    found = [entry]
    for part in path:
        following = []
        for value in found:
            if isinstance(value, dict):
                name = part if part in value else _camel(part)
                if name in value:
                    inner = value[name]
                    following += inner if isinstance(inner, list) else [inner]
        found = following
    if not found and path == ["severity"]:
        return ["DEFAULT"]
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _wrong(near: str) -> errors.GoogleError:
    return errors.invalid(f"Unparseable filter: syntax error near {near!r}.", "filter")

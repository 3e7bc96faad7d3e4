"""The words of a field's declaration, each with its place, and the refusal that points at one.

A word ends at white space, but not inside of brackets or quotes: `enum[in stock,sold]`,
`pattern="^a b$"`.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from infra.project import ProjectError

QUOTES = "\"'"


class Refusal(ProjectError):
    """A declaration that can't be used."""


@dataclass(frozen=True)
class Word:
    """A part of the declaration: its text, and where in the declaration it begins."""

    text: str
    start: int

    def after(self, count: int) -> "Word":
        """The word without its first characters."""
        return Word(self.text[count:], self.start + count)


@dataclass(frozen=True)
class Declaration:
    """A field as it was declared, in one line."""

    text: str

    def refuse(self, word: Word, reason: str) -> Refusal:
        """The refusal of a word: the reason, the declaration, and a caret at the word."""
        below = " " * word.start + "^" * max(1, len(word.text))
        return Refusal(f"{reason}\n  {self.text}\n  {below}\nnothing was written")

    def words(self) -> Iterator[Word]:
        """Its words. Raises Refusal for a bracket or a quote that is not closed."""
        start = 0
        while start < len(self.text):
            if self.text[start].isspace():
                start += 1
                continue
            end = self._end(start)
            yield Word(self.text[start:end], start)
            start = end

    def _end(self, start: int) -> int:
        """Where the word that begins there ends."""
        end, opened = start, -1
        while end < len(self.text):
            character = self.text[end]
            is_value = self.text[end - 1 : end] in {"=", ",", "["}
            if character in QUOTES and is_value and (opened >= 0 or "=" in self.text[start:end]):
                closing = self.text.find(character, end + 1)
                if closing < 0:
                    raise self.refuse(Word(self.text[end:], end), "this quote is not closed")
                end = closing
            # A pattern's brackets are its own.
            elif character == "[" and opened < 0 and "=" not in self.text[start:end]:
                opened = end
            elif character == "]" and opened >= 0:
                opened = -1
            elif character.isspace() and opened < 0:
                break
            end += 1
        if opened >= 0:
            raise self.refuse(Word(self.text[opened:], opened), "this bracket is not closed")
        return end


def nearest(word: str, known: Iterable[str], fallback: str = "") -> str:
    """The known word that is the most alike, without regard to capitals; else the fallback."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else fallback


def unquoted(word: Word) -> str:
    """A value without the quotes around it."""
    text = word.text
    if len(text) > 1 and text[0] in QUOTES and text[-1] == text[0]:
        return text[1:-1]
    return text

"""A field that was declared, and the words that said it, for whoever refuses one of them."""

import dataclasses
from dataclasses import dataclass

from infra.scaffold.entity import Field
from infra.scaffold.lexer import Declaration, Word


@dataclass(frozen=True)
class Declared:
    """A field with the words that said it."""

    field: Field
    declaration: Declaration
    name: Word
    kind: Word
    target: Word | None = None
    said: dict[str, Word] = dataclasses.field(default_factory=dict)
    """The word of each modifier, by its name."""

    def refuse(self, reason: str, what: str = "") -> Exception:
        """The refusal that points at a modifier; at the type, when it names none."""
        return self.declaration.refuse(self.said.get(what, self.kind), reason)

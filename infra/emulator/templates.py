"""Google's URL templates (google/api/http.proto) as patterns that take a path apart."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")


@dataclass(frozen=True)
class Template:
    """`/v1/{name=projects/*/secrets/*}:access`, say."""

    text: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    order: tuple[int, int, int]

    def match(self, path: str) -> dict[str, str] | None:
        """Returns the variables of a path as it was sent (percent-encoded), decoded."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(found[i + 1]) for i, name in enumerate(self.fields)}


def parse(text: str) -> Template:
    """Compiles a template. Templates tried by ascending `order` go from particular to general."""
    fields = []
    pattern = ""
    position = 0
    for variable in _VARIABLE.finditer(text):
        pattern += _segments(text[position : variable.start()])
        fields.append(variable[1])
        # A last segment has no bare colon but a digest's: what follows one is a custom verb.
        shape = "[^/]+" if variable[2] is None else _segments(variable[2])
        pattern += f"({shape})"
        position = variable.end()
    pattern += _segments(text[position:])
    stars = text.count("*") + len(re.findall(r"\{[\w.]+\}", text))
    verb = re.search(r":\w+$", text.rpartition("}")[2]) is not None
    order = (text.count("**"), 0 if verb else 1, stars)
    return Template(text, re.compile(pattern), tuple(fields), order)


def _segments(text: str) -> str:
    parts = re.split(r"(\*\*|\*)", text)
    last = max((i for i, part in enumerate(parts) if part == "*"), default=-1)
    out = ""
    for i, part in enumerate(parts):
        if part == "**":
            out += ".+?"
        elif part == "*":
            ends = i == last and not "".join(parts[i + 1 :])
            out += "(?:[^/:]|:[0-9a-f]{64})+" if ends else "[^/]+"
        else:
            out += re.escape(part)
    return out

"""What cookiecutter.json, the hooks and the template's files can call while they are rendered.

Runs inside cookiecutter's own process, on any Python it supports: standard library and Jinja only.
It does not judge answers (hooks/pre_gen_project.py does) and writes nothing.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

from jinja2.ext import Extension

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from jinja2 import Environment

# One folder's name on every system, Windows and its devices included, which cannot lead elsewhere.
FOLDER = re.compile(r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
STAND_IN = "refused_service"

# How long a line of the service's Python may be.
SERVICE_LINE = 80

SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Beyond accented letters, what stays readable: no linter takes it for another character.
PLAIN = frozenset("ßæÆøØœŒðÐþÞłŁđĐħĦŋŊ¿¡«»§°©®™€£—…“”•→✓★")
PLAIN_SCRIPTS = {
    "hiragana": ("\u3041", "\u3096"),
    "katakana": ("\u30a1", "\u30fe"),
    "han": ("\u4e00", "\u9fff"),
    "hangul": ("\uac00", "\ud7a3"),
}
LOOKALIKES = frozenset("\u30ce\u4e36\u4e3f")

# The last word of a name, or the end of a compound one (grandchild, bookshelf, salesperson).
IRREGULAR_ENDINGS = {
    "person": "people",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "mouse": "mice",
    "knife": "knives",
    "life": "lives",
    "wife": "wives",
    "leaf": "leaves",
    "loaf": "loaves",
    "half": "halves",
    "calf": "calves",
    "elf": "elves",
    "wolf": "wolves",
    "thief": "thieves",
    "quiz": "quizzes",
    "matrix": "matrices",
    "vertex": "vertices",
    "hero": "heroes",
    "echo": "echoes",
    "veto": "vetoes",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "torpedo": "torpedoes",
    "embargo": "embargoes",
    "volcano": "volcanoes",
    "series": "series",
    "species": "species",
    "fish": "fish",
    "craft": "craft",
}
IRREGULAR_WORDS = {
    "addendum": "addenda",
    "alga": "algae",
    "alumnus": "alumni",
    "appendix": "appendices",
    "automaton": "automata",
    "bacterium": "bacteria",
    "cactus": "cacti",
    "chassis": "chassis",
    "codex": "codices",
    "corps": "corps",
    "corpus": "corpora",
    "craft": "crafts",
    "criterion": "criteria",
    "curriculum": "curricula",
    "datum": "data",
    "debris": "debris",
    "deer": "deer",
    "die": "dice",
    "dwarf": "dwarves",
    "epoch": "epochs",
    "equipment": "equipment",
    "erratum": "errata",
    "feedback": "feedback",
    "fez": "fezzes",
    "fungus": "fungi",
    "genus": "genera",
    "goods": "goods",
    "goose": "geese",
    "hardware": "hardware",
    "helix": "helices",
    "hoof": "hooves",
    "information": "information",
    "larva": "larvae",
    "locus": "loci",
    "louse": "lice",
    "mango": "mangoes",
    "means": "means",
    "medium": "media",
    "memorandum": "memoranda",
    "metadata": "metadata",
    "monarch": "monarchs",
    "news": "news",
    "nucleus": "nuclei",
    "offspring": "offspring",
    "ovum": "ova",
    "ox": "oxen",
    "passerby": "passersby",
    "phenomenon": "phenomena",
    "quantum": "quanta",
    "radius": "radii",
    "scarf": "scarves",
    "sheaf": "sheaves",
    "sheep": "sheep",
    "software": "software",
    "spectrum": "spectra",
    "stimulus": "stimuli",
    "stomach": "stomachs",
    "stratum": "strata",
    "symposium": "symposia",
    "tech": "techs",
    "vortex": "vortices",
    "whiz": "whizzes",
}
# Words in -man that are not a man; every other one is (salesman, foreman).
MAN_IS_NOT_A_WORD = re.compile(r"(?:hu|ger|ro|otto|sha|talis|cai|nor|tur|o)man")
REGULAR_ENDINGS = (
    (re.compile(r"ics$"), "ics"),
    (re.compile(r"([sx])is$"), r"\1es"),
    (re.compile(r"(s|x|z|ch|sh)$"), r"\1es"),
    (re.compile(r"(qu|[^aeiou])y$"), r"\1ies"),
    (re.compile(r"$"), "s"),
)


def literal(value: object) -> str:
    """The text as a double-quoted literal that Python, TOML, YAML and JSON all read back as typed.

    A quote is written as an escape, so that no formatter prefers other quotes around it, and so is
    whatever a linter could take for another character. What lies outside the Basic Multilingual
    Plane stays as it is: no escape of it means the same in all four.
    """
    return '"' + "".join(_escaped(character) for character in str(value)) + '"'


def _escaped(character: str) -> str:
    """One character as it stands inside a literal."""
    if character in SHORT_ESCAPES:
        return SHORT_ESCAPES[character]
    if ord(character) > 0xFFFF or _is_plain(character):
        return character
    return f"\\u{ord(character):04x}"


def _is_plain(character: str) -> bool:
    """Whether a character needs no escape: ASCII, an accented letter, a common sign or script."""
    if character.isascii():
        return character.isprintable() and character != '"'
    if character in LOOKALIKES:
        return False
    if character in PLAIN:
        return True
    if any(first <= character <= last for first, last in PLAIN_SCRIPTS.values()):
        return True
    decomposed = unicodedata.normalize("NFD", character)
    is_accented = len(decomposed) > 1 and all(map(unicodedata.combining, decomposed[1:]))
    return is_accented and decomposed[0].isascii() and decomposed[0].isalpha()


def one_line(value: object) -> str:
    """The text on one line, for a heading or a comment: white space becomes single spaces."""
    return " ".join(str(value).split())


def plural(name: object) -> str:
    """The English plural of a snake_case name, of which only the last word changes."""
    head, underscore, word = str(name).rpartition("_")
    return head + underscore + _plural_word(word)


def _plural_word(word: str) -> str:
    """The plural of one word; nothing stays nothing."""
    if not word or word in IRREGULAR_WORDS:
        return IRREGULAR_WORDS.get(word, "")
    if word.endswith("man") and not MAN_IS_NOT_A_WORD.fullmatch(word):
        return word.removesuffix("man") + "men"
    for ending, replacement in IRREGULAR_ENDINGS.items():
        if word.endswith(ending):
            return word.removesuffix(ending) + replacement
    pattern, replacement = next(rule for rule in REGULAR_ENDINGS if rule[0].search(word))
    return pattern.sub(replacement, word, count=1)


def pascal(name: object) -> str:
    """A snake_case or kebab-case name as a class name (`line_item`: `LineItem`)."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[\s_-]+", str(name)))


def reexports(layer: str, modules: dict[str, list[str]], *own: str) -> str:
    """What a layer's `__init__` hands on: an import for each module, and `__all__`, each sorted and
    broken as the formatter has them, wherever the entity's name sorts.

    A name may be `router as item_router`. Modules of an entity that there is none of begin with an
    underscore and are left out. `own` are names that the file itself defines.
    """
    lines = []
    exported = list(own)
    for module, names in sorted(modules.items()):
        if module.startswith("_"):
            continue
        exported += [name.rpartition(" as ")[2] for name in names]
        line = f"from src.{layer}.{module} import {names[0]}"
        if len(names) > 1 or len(line) > SERVICE_LINE:
            listed = "".join(f"    {name},\n" for name in sorted(names))
            line = f"from src.{layer}.{module} import (\n{listed})"
        lines.append(line)
    listed = "".join(f'    "{name}",\n' for name in sorted(exported))
    return "\n".join([*lines, "", f"__all__ = [\n{listed}]"])


def contain(answers: MutableMapping[str, object]) -> str:
    """The service as it was answered, after making sure that it names a folder of its own.

    cookiecutter creates that folder before a hook can refuse the answer, and then removes only the
    last part of it: of `a/b` it would leave `a`. An answer that is no folder's name is therefore
    replaced by a stand-in, and the pre_gen hook refuses the answer that is returned here.
    """
    answered = answers["service"]
    if not isinstance(answered, str) or not FOLDER.fullmatch(answered):
        answers["service"] = STAND_IN
    return str(answered)


def given_answers() -> dict[str, object]:
    """The `key=value` arguments of the command line; cookiecutter drops unknown ones in silence."""
    click = sys.modules.get("click")
    command = click.get_current_context(silent=True) if click else None
    given = command.params.get("extra_context") if command else None
    return given if isinstance(given, dict) else {}


def here() -> str:
    """The folder cookiecutter is in, which is the template's while it renders a hook.

    `_repo_dir` may be relative to a folder that the hook does not know.
    """
    return os.getcwd()


def _without_traceback(record: logging.LogRecord) -> bool:
    """Keep cookiecutter's line about a hook that refused, without the traceback through itself."""
    if record.exc_info and type(record.exc_info[1]).__name__ == "FailedHookException":
        record.exc_info = None
    return True


class ServiceExtension(Extension):
    """Gives the template its filters and functions."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(literal=literal, one_line=one_line, pascal=pascal, plural=plural)
        environment.globals.update(
            contain=contain, given_answers=given_answers, here=here, reexports=reexports
        )
        logging.getLogger("cookiecutter.hooks").addFilter(_without_traceback)

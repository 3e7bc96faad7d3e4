"""A task that takes any number of words, which invoke has no argument for: it is given as many
arguments as there are words on the command line."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task

PREFIX = "word_"


class ManyWords(Task[Any]):
    """A task whose parameter `words` is the tuple of all words that are no options."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options, and an argument for each word."""
        options = [
            each
            for each in super().get_arguments(ignore_unknown_help=ignore_unknown_help)
            if each.name != "words"
        ]
        valued = {
            f"{'--' if len(name) > 1 else '-'}{name}"
            for each in options
            if each.takes_value
            for name in each.names
        }
        count = len([*words_for(self.name, sys.argv[1:], valued)])
        return options + [
            Argument(name=f"{PREFIX}{number}", positional=True) for number in range(count)
        ]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it, the words put together."""
        names = sorted(
            (name for name in kwargs if name.startswith(PREFIX)),
            key=lambda name: int(name.removeprefix(PREFIX)),
        )
        if names:
            kwargs["words"] = tuple(kwargs.pop(name) for name in names)
        return super().__call__(*args, **kwargs)


def words_for(task: str, line: Sequence[str], valued: set[str]) -> Iterator[str]:
    """The words behind the task's name that are neither an option nor the value of one."""
    if task not in line:
        return
    rest = iter(line[line.index(task) + 1 :])
    for each in rest:
        if each == "--":
            return
        if each in valued:
            next(rest, None)
        elif not each.startswith("-") or " " in each or ":" in each:
            yield each

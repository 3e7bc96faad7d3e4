"""What a command made, as a tree of folders and files, each with what became of it."""

from collections.abc import Iterator, Mapping

type Branch = dict[str, "Branch | str"]


def tree(root: str, marks: Mapping[str, str]) -> str:
    """The tree of the paths below the root; `marks` says of each what became of it."""
    top: Branch = {}
    for path, mark in marks.items():
        *folders, name = path.split("/")
        place = top
        for folder in folders:
            inner = place.setdefault(folder, {})
            assert isinstance(inner, dict), f"{folder} is a file and a folder"  # noqa: S101
            place = inner
        place[name] = mark
    lines = list(branches(top, ""))
    width = max((len(name) for name, _ in lines), default=0)
    said = [f"{name.ljust(width)}  {mark}".rstrip() for name, mark in lines]
    return "\n".join([root, *said])


def branches(place: Branch, indent: str) -> Iterator[tuple[str, str]]:
    """The lines of a folder: folders and files by their name."""
    for index, (name, inner) in enumerate(sorted(place.items())):
        is_last = index == len(place) - 1
        line = f"{indent}{'└── ' if is_last else '├── '}{name}"
        if isinstance(inner, str):
            yield line, inner
        else:
            yield f"{line}/", ""
            yield from branches(inner, indent + ("    " if is_last else "│   "))

"""A picture as Mermaid's flowchart, which GitHub, GitLab and most wikis draw.

https://mermaid.js.org/syntax/flowchart.html
"""

import re

from infra.drawing.picture import COLOURS, Box, Picture, State

LEFT_OUT = "leftout"


def mermaid(picture: Picture) -> str:
    """The flowchart, with a line break at its end."""
    ids = identify(picture.boxes)
    lines = ["---", f'title: "{escape(picture.title)}"', "---", "flowchart LR"]
    lines += [f"    {node(ids[box.key], box)}" for box in picture.boxes]
    lines += [f"    {ids[before]} --> {ids[after]}" for before, after in picture.arrows]
    for state in picture.states:
        colours = COLOURS[state]
        style = f"fill:{colours.fill},stroke:{colours.border},color:{colours.text}"
        lines.append(f"    classDef {name_of(state)} {style}")
    if left_out := [ids[box.key] for box in picture.boxes if box.left_out]:
        lines.append(f"    classDef {LEFT_OUT} stroke-dasharray:5 4")
        lines.append(f"    class {','.join(left_out)} {LEFT_OUT}")
    return "\n".join([*lines, ""])


def node(identity: str, box: Box) -> str:
    """A box; what is not as declared says how it is, for whoever does not see its colour."""
    # Of HTML only the line break is let through everywhere.
    parts = [escape(box.kind), escape(box.name)]
    if box.state is not State.DECLARED:
        parts.append(box.state)
    return f'{identity}["{"<br/>".join(parts)}"]:::{name_of(box.state)}'


def name_of(state: State) -> str:
    """A state as the name of a class."""
    return state.name.lower()


def identify(boxes: tuple[Box, ...]) -> dict[str, str]:
    """An id for each box, by its key: the key's letters and digits, so that it stays the same."""
    ids: dict[str, str] = {}
    for box in boxes:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", box.key).strip("_")
        identity, nth = plain, 2
        while identity in ids.values():
            identity, nth = f"{plain}_{nth}", nth + 1
        ids[box.key] = identity
    return ids


def escape(text: str) -> str:
    """Text in quotes: what means something to Mermaid as its entity codes."""
    return re.sub(r'[#"<>&\\]', lambda match: f"#{ord(match[0])};", text)

"""A picture as SVG: boxes in layers, lines that pass between them, a legend.

It brings its own background and its own colours, for a light page and for a dark one.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from infra.drawing.layers import Place, lay_out
from infra.drawing.picture import COLOURS, Box, Picture, State

HEIGHT = 44
ACROSS = 64
BETWEEN = 14
MARGIN = 24
HEAD = 40
LEGEND = 44
SWATCH = 14
LETTER = 7.4
"""Width of a letter, at most, on the mean: the fonts differ from machine to machine."""
PADDING = 24
LEFT_OUT = "checked, not changed"
STYLE = """\
text { font: 12px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; }
.page { fill: #ffffff; } .head, .legend { fill: #202124; }
.head { font-size: 15px; font-weight: 600; } .name { font-weight: 600; }
.line { fill: none; stroke: #80868b; stroke-width: 1.2; } .tip { fill: #80868b; }
.box { stroke-width: 1.5; } .left { stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
  .page { fill: #1f2023; } .head, .legend { fill: #e8eaed; }
  .line { stroke: #9aa0a6; } .tip { fill: #9aa0a6; }
}"""


def svg(picture: Picture) -> str:
    """The drawing, with a line break at its end."""
    widths = {box.key: width_of(box) for box in picture.boxes}
    layout = lay_out(widths, picture.arrows, HEIGHT, ACROSS, BETWEEN)
    at = {key: (x + MARGIN, y + MARGIN + HEAD) for key, (x, y) in layout.places.items()}
    entries = list(legend(picture))
    needed = [layout.width, sum(room for _, room in entries), LETTER * 1.3 * len(picture.title)]
    width, height = max(needed) + 2 * MARGIN, layout.height + HEAD + LEGEND + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>{escape(picture.title)}</title>",
        f"<style>{STYLE}\n{colours(picture)}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
        f'<rect class="page" width="{width:.0f}" height="{height:.0f}" rx="8"/>',
        f'<text class="head" x="{MARGIN}" y="{MARGIN + 12}">{escape(picture.title)}</text>',
    ]
    for before, after in picture.arrows:
        way = [(x + MARGIN, y + MARGIN + HEAD) for x, y in layout.lines[before, after]]
        parts.append(line(before, after, at[before][0] + widths[before], way))
    parts += [drawn(box, at[box.key], widths[box.key]) for box in picture.boxes]
    left, top = float(MARGIN), height - MARGIN - SWATCH
    for entry, room in entries:
        parts.append(entry.format(x=left, y=top, text_x=left + SWATCH + 6, text_y=top + 11))
        left += room
    return "\n".join([*parts, "</svg>", ""])


def width_of(box: Box) -> float:
    """The width of a box: its text's, and some."""
    return PADDING + LETTER * max(len(box.name), len(caption(box)))


def caption(box: Box) -> str:
    """What a box says above its name; how it is, too, for whoever does not see its colour."""
    return box.kind if box.state is State.DECLARED else f"{box.kind} · {box.state}"


def colours(picture: Picture) -> str:
    """The rules of the states' colours, which are seen on both pages."""
    rules = [
        f".{state.name.lower()} {{ fill: {COLOURS[state].fill}; stroke: {COLOURS[state].border}; }}"
        f" .on-{state.name.lower()} {{ fill: {COLOURS[state].text}; }}"
        for state in picture.states
    ]
    return "\n".join(rules)


def drawn(box: Box, at: Place, width: float) -> str:
    """A box with its text."""
    (left, middle), state = at, box.state.name.lower()
    dashed = " left" if box.left_out else ""
    text = f'x="{left + PADDING / 2:.1f}" class="on-{state}'
    return (
        f"<g data-key={quoteattr(box.key)}><title>{escape(box.key)}: {box.state}</title>"
        f'<rect class="box {state}{dashed}" x="{left:.1f}" y="{middle - HEIGHT / 2:.1f}"'
        f' width="{width:.1f}" height="{HEIGHT}" rx="6"/>'
        f'<text {text}" y="{middle - 5:.1f}">{escape(caption(box))}</text>'
        f'<text {text} name" y="{middle + 13:.1f}">{escape(box.name)}</text></g>'
    )


def line(before: str, after: str, start: float, way: Sequence[Place]) -> str:
    """A line from the side of a box: curved between the layers, straight where it passes one."""
    (x, y), *_ = way
    steps = [f"M{start:.1f} {y:.1f}L{x:.1f} {y:.1f}"]
    for (left, top), (right, bottom) in pairwise(way):
        middle = (left + right) / 2
        steps.append(f"C{middle:.1f} {top:.1f} {middle:.1f} {bottom:.1f} {right:.1f} {bottom:.1f}")
    ends = f"data-from={quoteattr(before)} data-to={quoteattr(after)}"
    return f'<path class="line" {ends} d="{"".join(steps)}" marker-end="url(#tip)"/>'


def legend(picture: Picture) -> Iterator[tuple[str, float]]:
    """The entries of the legend, to be put somewhere, and the room that each takes."""
    entries = [(state.name.lower(), str(state)) for state in picture.states]
    if any(box.left_out for box in picture.boxes):
        entries.append(("page left", LEFT_OUT))
    for style, text in entries:
        yield (
            f'<rect class="box {style}" stroke="#80868b" x="{{x:.1f}}" y="{{y:.1f}}"'
            f' width="{SWATCH}" height="{SWATCH}" rx="3"/>'
            f'<text class="legend" x="{{text_x:.1f}}" y="{{text_y:.1f}}">{escape(text)}</text>',
            SWATCH + 6 + LETTER * len(text) + 18,
        )

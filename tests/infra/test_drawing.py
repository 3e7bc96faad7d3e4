"""The graph as a picture: all of it is there, once, readable, and nothing lies on anything else."""

import re
from collections.abc import Mapping
from itertools import combinations, pairwise
from random import Random
from xml.etree import ElementTree

import pytest

from infra.drawing.layers import lay_out
from infra.drawing.mermaid import mermaid
from infra.drawing.picture import COLOURS, Box, Picture, State, picture
from infra.drawing.svg import HEIGHT, svg
from infra.plan import Action, Change, Plan
from infra.project import ProjectError
from infra.resources.base import Live, Resource
from infra.retry import CloudError
from infra.stack import stack
from infra.tasks.graph import format_of
from tests.infra.services import declare, write

SVG = "{http://www.w3.org/2000/svg}"
NODE = re.compile(r'    (\w+)\["([^"]*)"\]:::(\w+)')
EDGE = re.compile(r"    (\w+) --> (\w+)")
CLASS = re.compile(r"    classDef (\w+) (?:[a-z-]+:[#\w ]+,?)+")
OF_CLASS = re.compile(r"    class ([\w,]+) (\w+)")
RESERVED = {"end", "graph", "flowchart", "subgraph", "class", "classDef", "style", "default"}
ACTIONS = [each for each in Action if each is not Action.WAIT]
LIGHT, DARK = "#ffffff", "#1f2023"

type Rectangle = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A stack with something of every kind."""
    trigger = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}
    secrets = {"API_KEY": "api-key", "MAIL_KEY": "mail-key", "LONG": "k" * 60}
    return stack(
        declare(trigger=trigger, secrets=secrets), write(tmp_path_factory.mktemp("service"))
    )


@pytest.fixture(scope="module")
def drawn(resources: list[Resource]) -> Picture:
    """A plan in which everything happens that can happen to a resource."""
    unread, waits, *others = resources
    changes = [
        Change(each, ACTIONS[index % len(ACTIONS)], left_out=index == 0)
        for index, each in enumerate(others)
    ]
    waiting = Change(waits, Action.NONE, live=Live({}, waiting="open a link"))
    error = CloudError("read the APIs", "denied")
    return picture("orders <stg> & more", resources, Plan([waiting, *changes], [(unread, error)]))


def test_a_picture_has_each_resource_and_each_need(
    drawn: Picture, resources: list[Resource]
) -> None:
    assert [each.key for each in drawn.boxes] == [each.key for each in resources]
    assert set(drawn.arrows) == {(need.key, each.key) for each in resources for need in each.needs}
    assert drawn.states == list(State)


def parse(text: str) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """The nodes, label and class by id, and the edges of a flowchart. Every line is one we know."""
    head, title, close, kind, *lines, last = text.split("\n")
    assert (head, close, kind, last) == ("---", "---", "flowchart LR", "")
    assert re.fullmatch(r'title: "[^"\\]*"', title)
    nodes: dict[str, tuple[str, str]] = {}
    edges: list[tuple[str, str]] = []
    classes: set[str] = set()
    for line in lines:
        if node := NODE.fullmatch(line):
            identity, label, state = node.groups()
            assert identity not in nodes
            assert identity not in RESERVED
            assert not re.search(r"[<>&]", label.replace("<br/>", ""))
            nodes[identity] = (label, state)
        elif edge := EDGE.fullmatch(line):
            edges.append((edge[1], edge[2]))
        elif defined := CLASS.fullmatch(line):
            classes.add(defined[1])
        else:
            of = OF_CLASS.fullmatch(line)
            assert of, line
            assert set(of[1].split(",")) <= set(nodes)
            assert of[2] in classes
    assert {state for _, state in nodes.values()} <= classes
    assert {end for edge in edges for end in edge} <= set(nodes)
    return nodes, edges


def test_mermaid_has_each_resource_once_and_all_edges(drawn: Picture) -> None:
    nodes, edges = parse(mermaid(drawn))
    assert len(nodes) == len(drawn.boxes)
    by_key = dict(zip((each.key for each in drawn.boxes), nodes, strict=True))
    assert edges == [(by_key[before], by_key[after]) for before, after in drawn.arrows]
    for box in drawn.boxes:
        label, state = nodes[by_key[box.key]]
        assert label.startswith(f"{box.kind}<br/>{box.name}")
        assert state == box.state.name.lower()
        assert (str(box.state) in label) is (box.state is not State.DECLARED)


def test_what_means_something_to_mermaid_is_escaped() -> None:
    boxes = (
        Box("a b", "kind", 'a"]; click', State.CREATE),
        Box("a-b", "kind", "<script>", State.CREATE),
        Box("a_b", "kind", "#35;&", State.CREATE, left_out=True),
    )
    nodes, edges = parse(mermaid(Picture('a "title"', boxes, (("a b", "a_b"),))))
    assert list(nodes) == ["a_b", "a_b_2", "a_b_3"]
    assert edges == [("a_b", "a_b_3")]


def rectangles(root: ElementTree.Element) -> dict[str, Rectangle]:
    """The boxes by key: left, top, right, bottom."""
    found: dict[str, Rectangle] = {}
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        x, y, width, height = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        found[group.attrib["data-key"]] = (x, y, x + width, y + height)
    return found


def overlap(one: Rectangle, other: Rectangle) -> bool:
    """Whether two rectangles have room in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_svg_has_all_and_nothing_overlaps(drawn: Picture) -> None:
    root = ElementTree.fromstring(svg(drawn))  # noqa: S314
    boxes = rectangles(root)
    assert sorted(boxes) == sorted(each.key for each in drawn.boxes)
    assert not [pair for pair in combinations(boxes, 2) if overlap(boxes[pair[0]], boxes[pair[1]])]
    lines = [each for each in root.iter(f"{SVG}path") if "data-from" in each.attrib]
    ends = [(each.attrib["data-from"], each.attrib["data-to"]) for each in lines]
    assert sorted(ends) == sorted(drawn.arrows)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert all(x >= 0 and right <= width for x, _, right, _ in boxes.values())
    assert all(y >= 0 and bottom <= height for _, y, _, bottom in boxes.values())


def test_svg_says_what_each_is_and_what_each_colour_means(drawn: Picture) -> None:
    root = ElementTree.fromstring(svg(drawn))  # noqa: S314
    told = [each.text for each in root.iter(f"{SVG}text")]
    for box in drawn.boxes:
        assert box.name in told
    for state in (*State, "checked, not changed", "orders <stg> & more"):
        assert state in told


def luminance(colour: str) -> float:
    """How bright a colour is, from 0 to 1 (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("state", State)
def test_a_box_is_read_and_seen_on_a_light_page_and_on_a_dark_one(state: State) -> None:
    colours = COLOURS[state]
    assert contrast(colours.text, colours.fill) >= 7
    assert max(contrast(colours.border, LIGHT), contrast(colours.fill, LIGHT)) >= 2.5
    assert max(contrast(colours.border, DARK), contrast(colours.fill, DARK)) >= 3


@pytest.mark.parametrize("seed", range(20))
def test_in_any_graph_each_box_is_right_of_what_it_needs(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    keys = [f"box {each}" for each in range(random.randint(1, 30))]
    widths = {key: random.uniform(40, 300) for key in keys}
    lines = [pair for pair in combinations(keys, 2) if random.random() < 0.15]
    layout = lay_out(widths, lines, HEIGHT, across=60, between=10)
    boxes: Mapping[str, Rectangle] = {
        key: (x, y - HEIGHT / 2, x + widths[key], y + HEIGHT / 2)
        for key, (x, y) in layout.places.items()
    }
    assert not [pair for pair in combinations(keys, 2) if overlap(boxes[pair[0]], boxes[pair[1]])]
    assert max(bottom for *_, bottom in boxes.values()) <= layout.height + 0.01
    for before, after in lines:
        assert boxes[before][2] < boxes[after][0]
        way = layout.lines[before, after]
        assert way[-1] == layout.places[after]
        assert all(left <= right for (left, _), (right, _) in pairwise(way))
        for (left, top), (right, bottom) in pairwise(way):
            if top == bottom:  # it passes a layer: no box is in its way
                straight = (left + 0.01, top - 0.01, right - 0.01, top + 0.01)
                beside = [key for key in keys if key not in {before, after}]
                assert not [key for key in beside if overlap(straight, boxes[key])]


def test_nothing_to_draw_is_a_picture_too() -> None:
    nothing = Picture("nothing", (), ())
    assert parse(mermaid(nothing)) == ({}, [])
    assert rectangles(ElementTree.fromstring(svg(nothing))) == {}  # noqa: S314


def test_the_format_is_what_is_said_or_what_the_file_is_called() -> None:
    assert format_of(None, None) == "mermaid"
    assert format_of("a.svg", None) == "svg"
    assert format_of("a/b.SVG", None) == "svg"
    assert format_of("a.mmd", None) == "mermaid"
    assert format_of("a.svg", "mermaid") == "mermaid"
    with pytest.raises(ProjectError, match="must be mermaid or svg"):
        format_of("a.png", "png")

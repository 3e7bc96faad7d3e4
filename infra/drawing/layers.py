"""Where the boxes of a layered drawing go: each right of all it comes after, with few crossings.

The method of Sugiyama, Tagawa and Toda: layers by the longest way, an invisible point in each layer
that a line passes, an order in the layers by the neighbours' mean, and places near the neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean

SWEEPS = 12
POINT_HEIGHT = 10

type Node = str | tuple[str, str, int]
"""A box's key; or the point at which a line, from one key to another, passes a layer."""
type Line = tuple[str, str]
type Place = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Where everything is; a place is the middle of the box's left side, x and y from the top."""

    places: Mapping[str, Place]
    lines: Mapping[Line, Sequence[Place]]
    """The way of each line, from the right side of its layer to the left side of its last box's: it
    is straight inside a layer, and may bend between two."""
    width: float
    height: float


@dataclass
class Layers:
    """The nodes of each layer, from top to bottom, and their neighbours in the layers beside."""

    layers: list[list[Node]]
    before: dict[Node, list[Node]]
    after: dict[Node, list[Node]]


def lay_out(
    boxes: Mapping[str, float], lines: Sequence[Line], height: float, across: float, between: float
) -> Layout:
    """Places boxes, of which the widths are given and the height is one for all.

    `across` is the room between layers, `between` that between the boxes of a layer. Lines must not
    go round in a circle. Raises KeyError for a line that leads nowhere.
    """
    layers = layered(boxes, lines)
    for sweep in range(SWEEPS):
        put_in_order(layers, forwards=sweep % 2 == 0)
    heights = {
        node: height if isinstance(node, str) else POINT_HEIGHT
        for layer in layers.layers
        for node in layer
    }
    tops = settle(layers, heights, between)
    widths = [max(boxes.get(str(node), 0) for node in layer) for layer in layers.layers]
    lefts = [sum(widths[:index]) + across * index for index in range(len(widths))]
    at = {
        node: (left, tops[node])
        for layer, left in zip(layers.layers, lefts, strict=True)
        for node in layer
    }
    rights = {
        node: (left + width, tops[node])
        for layer, left, width in zip(layers.layers, lefts, widths, strict=True)
        for node in layer
    }
    ways: dict[Line, list[Place]] = {line: [rights[line[0]]] for line in lines}
    for layer in layers.layers:
        for node in layer:
            if not isinstance(node, str):
                before, after, _ = node
                ways[before, after] += [at[node], rights[node]]
    for before, after in lines:
        ways[before, after].append(at[after])
    lowest = max((tops[node] + heights[node] / 2 for node in tops), default=0)
    places = {node: at[node] for node in at if isinstance(node, str)}
    return Layout(places, ways, sum(widths) + across * max(len(widths) - 1, 0), lowest)


def layered(boxes: Mapping[str, float], lines: Sequence[Line]) -> Layers:
    """The boxes in layers, and a point for each line in each layer that it passes."""
    comes_after: dict[str, list[str]] = {key: [] for key in boxes}
    for before, after in lines:
        comes_after[after].append(before)
    depths: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in depths:
            depths[key] = 1 + max((depth(each) for each in comes_after[key]), default=-1)
        return depths[key]

    made = Layers([[] for _ in range(1 + max(map(depth, boxes), default=-1))], {}, {})
    for key in boxes:
        made.layers[depth(key)].append(key)
    for before, after in lines:
        points: list[Node] = [
            (before, after, layer) for layer in range(depth(before) + 1, depth(after))
        ]
        for layer, point in enumerate(points, depth(before) + 1):
            made.layers[layer].append(point)
        way: list[Node] = [before, *points, after]
        for left, right in pairwise(way):
            made.after.setdefault(left, []).append(right)
            made.before.setdefault(right, []).append(left)
    return made


def put_in_order(layers: Layers, *, forwards: bool) -> None:
    """Sorts each layer by where its nodes' neighbours are in the layer before."""
    neighbours = layers.before if forwards else layers.after
    way = layers.layers if forwards else layers.layers[::-1]
    for fixed, free in pairwise(way):
        position = {node: index for index, node in enumerate(fixed)}
        own = {node: index * len(fixed) / len(free) for index, node in enumerate(free)}
        free.sort(key=partial(mean_place, neighbours, position, own))


def mean_place(
    neighbours: Mapping[Node, list[Node]],
    position: Mapping[Node, float],
    own: Mapping[Node, float],
    node: Node,
) -> float:
    """The mean of a node's neighbours' positions; its own when it has none."""
    beside = neighbours.get(node)
    return fmean(position[each] for each in beside) if beside else own[node]


def settle(layers: Layers, heights: Mapping[Node, float], between: float) -> dict[Node, float]:
    """The middles of the nodes, as near to their neighbours' as there is room for."""
    tops: dict[Node, float] = {}
    for layer in layers.layers:
        spread(layer, [0.0] * len(layer), heights, between, tops)
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        neighbours = layers.before if forwards else layers.after
        for layer in layers.layers if forwards else layers.layers[::-1]:
            wished = [mean_place(neighbours, tops, tops, node) for node in layer]
            spread(layer, wished, heights, between, tops)
    highest = min((tops[node] - heights[node] / 2 for node in tops), default=0)
    return {node: top - highest for node, top in tops.items()}


def spread(
    layer: Sequence[Node],
    wished: Sequence[float],
    heights: Mapping[Node, float],
    between: float,
    tops: dict[Node, float],
) -> None:
    """Puts a layer's nodes, in their order and apart, as near to where they are wished as can be.

    Neighbours that would overlap are put together, at their mean: the least squares of a sequence
    that must not fall (pool adjacent violators), after the room that each needs is taken off.
    """
    offsets = [0.0]
    for upper, lower in pairwise(layer):
        offsets.append(offsets[-1] + (heights[upper] + heights[lower]) / 2 + between)
    pools: list[list[float]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        pools.append([wish - offset])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    free = [fmean(pool) for pool in pools for _ in pool]
    for node, place, offset in zip(layer, free, offsets, strict=True):
        tops[node] = place + offset

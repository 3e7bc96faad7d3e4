"""A dependency graph, walked in parallel: each node as soon as what it needs is done.

What fails stops only what needs it. Interrupted, nothing more is started, and what is in flight is
waited for.
"""

from collections.abc import Callable, Hashable, Mapping, Set
from graphlib import TopologicalSorter
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Thread

WORKERS = 16


def walk[Node: Hashable](
    needs: Mapping[Node, Set[Node]],
    visit: Callable[[Node], bool],
    blocked: Callable[[Node, Node], None],
    stop: Event,
    workers: int = WORKERS,
) -> None:
    """Visits every node, each after what it needs, until `stop` is set; `workers` at a time.

    `visit` says whether what needs the node may go on; if not, those are given to `blocked`, with
    the node that was the reason. Raises what a visit raises, when all in flight are done, and
    KeyboardInterrupt at once when it is interrupted a second time.
    """
    order = TopologicalSorter(needs)
    order.prepare()
    done: SimpleQueue[tuple[Node, bool | BaseException]] = SimpleQueue()
    room = BoundedSemaphore(workers)
    culprit: dict[Node, Node] = {}
    raised: list[BaseException] = []

    def run(node: Node) -> None:
        try:
            with room:
                done.put((node, visit(node)))
        except BaseException as error:
            done.put((node, error))

    def start(node: Node) -> None:
        because = next((culprit[need] for need in needs[node] if need in culprit), None)
        if stop.is_set() or because is not None:
            if because is not None and not stop.is_set():
                culprit[node] = because
                blocked(node, because)
            done.put((node, False))
        else:
            # Of a thread pool's threads the interpreter would wait for the end, whatever happens.
            Thread(target=run, args=(node,), daemon=True).start()

    while order.is_active():
        for node in order.get_ready():
            start(node)
        try:
            node, outcome = done.get()
        except KeyboardInterrupt:
            if stop.is_set():
                raise
            stop.set()
            continue
        if isinstance(outcome, BaseException):
            raised.append(outcome)
            stop.set()
        if outcome is not True:
            culprit.setdefault(node, node)
        order.done(node)
    if raised:
        raise raised[0]


def reversed_needs[Node: Hashable](needs: Mapping[Node, Set[Node]]) -> dict[Node, set[Node]]:
    """The graph the other way round: each node after what needs it."""
    turned: dict[Node, set[Node]] = {node: set() for node in needs}
    for node, needed in needs.items():
        for each in needed:
            turned[each].add(node)
    return turned

"""What attaching reads from the graph's drawing: paths, entries and what a loop-back re-runs."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from coord_plugins import END, START, ValidationEdge


class Topology:
    """The graph's static edges, as `get_graph()` draws them.

    Attributes:
        entries: The successors of START.
        static_entries: Those that an unconditional edge leads to.
        conditional_entry: Whether START has a conditional edge, evaluated again on a loop-back.
    """

    def __init__(self, graph: Any) -> None:
        self._next: dict[str, list[str]] = collections.defaultdict(list)
        self._static: dict[str, list[str]] = collections.defaultdict(list)
        drawn = graph.get_graph()
        for edge in drawn.edges:
            self._next[edge.source].append(edge.target)
            if not edge.conditional:
                self._static[edge.source].append(edge.target)
        self.entries = tuple(dict.fromkeys(self._next[START]))
        self.static_entries = tuple(n for n in self.entries if n in self._static[START])
        builder = graph.builder
        self.conditional_entry = bool(builder.branches.get(START))
        joins = {end for _, end in builder.waiting_edges}
        self._implicit = {
            node
            for node in graph.nodes
            if node not in joins
            and len([s for s in self._static if node in self._static[s] and s != START]) > 1
        }

    def distance(self, source: str, target: str) -> int:
        """Fewest supersteps from `source` to `target`; 1 where no drawn path says more."""
        if source == START:
            found = [self._steps(entry, target) for entry in self.entries]
            return min((d for d in found if d is not None), default=1)
        found_one = self._steps(source, target)
        return 1 if found_one is None else found_one

    def tail(self, step: str) -> int:
        """Fewest nodes that run after `step` before the end."""
        found = self._steps(step, END)
        return 0 if found is None else max(0, found - 1)

    def _steps(self, source: str, target: str) -> int | None:
        """Breadth-first distance, or None."""
        seen, queue = {source}, collections.deque([(source, 0)])
        while queue:
            node, far = queue.popleft()
            if node == target:
                return far
            for following in self._next[node]:
                if following not in seen:
                    seen.add(following)
                    queue.append((following, far + 1))
        return None

    def findings(self, edge: ValidationEdge) -> Iterable[str]:
        """What a loop-back of this edge re-runs beside the way back; one sentence each."""
        for target in dict.fromkeys(edge.back_to):
            if target == edge.step:
                continue
            sources = self.entries if target == START else (target,)
            way = {n for s in sources for n in self._between(s, edge.step)}
            siblings = sorted(
                {b for n in way - {edge.step} for b in self._static[n] if b not in way} - {END}
            )
            if siblings:
                yield (
                    f"edge {edge.step!r}: going back to {target!r} also runs {', '.join(siblings)} "
                    "again: the target is at or before a fan-out"
                )
            for join in sorted(self._implicit):
                if join not in way and self._steps(edge.step, join) is not None and siblings:
                    yield (
                        f"edge {edge.step!r}: going back to {target!r} makes {join!r} run more "
                        "than once: it is an implicit join; use add_edge([...], join) to wait"
                    )

    def _between(self, source: str, target: str) -> set[str]:
        """The nodes on some drawn path from `source` to `target`, both included."""
        return {
            n
            for n in {source, target, *self._next}
            if self._steps(source, n) is not None and self._steps(n, target) is not None
        }


def edge_targets(edge: ValidationEdge, topology: Topology) -> list[tuple[str, str]]:
    """The loop-backs and the way out of one edge, as drawn: pairs of node and label."""
    found = []
    for target in dict.fromkeys(edge.back_to):
        entries = topology.entries if target == START else (target,)
        found += [(entry, "rejected") for entry in entries]
    if edge.otherwise is not None and not edge.otherwise.startswith("__"):
        found.append((edge.otherwise, "exhausted"))
    return found

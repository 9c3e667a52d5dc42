"""What attaching costs a LangGraph node: six trivial nodes, the bare graph beside the attached."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from bench_core import Heard
from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph
from measure import Batch, Size, difference, interleaved, medians, table, verdict

from coord_plugins import Retry, ValidationEdge, check

NODES = 6
LIMIT_US, LIMIT_SHARE = 15.0, 0.10
"""The target per node: microseconds, or a share of the bare node, whichever is larger."""


class State(TypedDict, total=False):
    """One number."""

    count: int


def is_count(output: Any) -> bool:
    """A check that passes."""
    return type(output["count"]) is int


def graph(is_async: bool) -> Any:
    """Six nodes in a row, each of which adds one."""
    builder = StateGraph(State)
    names = [f"step{i}" for i in range(NODES)]

    def work(state: State) -> State:
        return {"count": state["count"] + 1}

    async def awork(state: State) -> State:
        return {"count": state["count"] + 1}

    for name in names:
        builder.add_node(name, awork if is_async else work)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder.compile()


def attached(bare: Any, *, edges: bool, listeners: Any = ()) -> Any:
    """The same graph under a policy."""
    policy = [ValidationEdge(f"step{i}", check(is_count), back_to=f"step{i}") for i in range(NODES)]
    retry = Retry(max_attempts=3)
    # Feedback has no route in this state, and no check here ever gives any.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attach(
            bare,
            *(policy if edges else ()),
            pipeline="bench",
            retry=retry,
            store="off",
            listeners=listeners,
        )


def batch(app: Any, is_async: bool) -> Batch:
    """Invoke a graph n times."""

    def work(n: int) -> None:
        for _ in range(n):
            app.invoke({"count": 0})

    def awork(n: int) -> None:
        async def many() -> None:
            for _ in range(n):
                await app.ainvoke({"count": 0})

        asyncio.run(many())

    return awork if is_async else work


def langgraph(size: Size) -> None:
    """Overhead per node, synchronous and async."""
    for is_async in (False, True):
        bare = graph(is_async)
        apps = {
            "bare": bare,
            "bare again (A/A)": bare,
            "attached, no edges": attached(bare, edges=False),
            "attached, an edge on every node": attached(bare, edges=True),
            "attached, edges, listener": attached(bare, edges=True, listeners=[Heard()]),
        }
        samples = interleaved({n: (batch(a, is_async), 60) for n, a in apps.items()}, size)
        samples = {name: [x / NODES for x in found] for name, found in samples.items()}
        middle = medians(samples)
        limit = max(LIMIT_US, LIMIT_SHARE * middle["bare"])
        rows = []
        for name, value in middle.items():
            over = difference(samples[name], samples["bare"])
            said = verdict(over <= limit) if name.startswith("attached") else ""
            rows.append(
                (name, f"{value:.1f}", f"{over:+.1f}", f"{over / middle['bare']:+.1%}", said)
            )
        head = ("", "us/node", "over bare", "share", "target")
        kind = "async" if is_async else "sync"
        title = f"{kind}: CPU time per node, target +{limit:.1f} us, median of {size.rounds}"
        table(title, head, rows)

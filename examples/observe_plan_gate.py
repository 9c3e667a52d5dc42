"""From watching to a release: observe a graph, plan its edges, attach them, compare, gate.

Four nodes that are each right in 95 % of the cases, and a validator after each that catches nine of
ten wrong outputs and passes 98 of 100 right ones. First nothing is held: the runs show what the
validators would have said, and labels (here known, else from a test set) how well. The planner then
says which edges are worth having, and what to expect of them before anybody pays for it.
"""

import random
from contextlib import suppress
from typing import TypedDict

from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph

from coord_plugins import (
    AttemptsExhaustedError,
    ValidationEdge,
    check,
    collect_runs,
    compare,
    configure,
    gate,
)
from coord_plugins.planning import plan

configure(store="off")  # the records are all that this example needs
NODES = ("triage", "retrieve", "draft", "review")
rand = random.Random(4)


class State(TypedDict, total=False):
    """What the nodes share."""

    ticket: str
    work: list[bool]  # for each node so far, whether what it did was right


def node(index: int):
    def work(state: State, feedback: str | None = None):
        done = state.get("work", [])[:index]
        return {"work": [*done, rand.random() < 0.95]}

    return work


def validator(name: str):
    def seems_right(work: list[bool]) -> bool:
        return rand.random() < (0.98 if all(work) else 0.1)

    return check(seems_right, name=f"{name}_seems_right")


graph = StateGraph(State)
for index, name in enumerate(NODES):
    graph.add_node(name, node(index))
    graph.add_edge(NODES[index - 1] if index else START, name)
graph.add_edge(NODES[-1], END)
compiled = graph.compile()


def right(state: State) -> bool:
    return all(state["work"])


EDGES = [ValidationEdge(name, validator(name), of="work", max_attempts=2) for name in NODES]


def run_all(app, runs: int):
    with collect_runs() as records:
        for number in range(runs):
            with suppress(AttemptsExhaustedError):  # escalated: an outcome like any other
                app.invoke({"ticket": f"T-{number}"})
    return records


def attached(edges, **settings):
    return attach(
        compiled,
        *edges,
        pipeline="support",
        goal=right,
        label=lambda update, _: all(update["work"]),
        task="ticket",
        **settings,
    )


if __name__ == "__main__":
    before = run_all(attached(EDGES, mode="observe"), 1_500)
    print(f"observed: {sum(run.succeeded for run in before)} of {len(before)} did their job")

    made = plan(before, target=0.97, confidence=0.9)
    for edge in made.edges(EDGES):
        print(f"  {edge.step}: back to {' -> '.join(edge.back_to)}, {edge.max_attempts} attempts")
    hoped = made.expected.success
    print(f"expected: {100 * hoped.runs_low:.1f} to {100 * hoped.runs_high:.1f} %")
    print(made.bound.says)

    after = run_all(attached(made.edges(EDGES)), 1_500)
    print(f"measured: {100 * sum(run.succeeded for run in after) / len(after):.1f} %")
    print("compared:", compare(before, after).conclusion)
    print("gate:", gate(after, min_success=0.95, expected=0.98).verdict)

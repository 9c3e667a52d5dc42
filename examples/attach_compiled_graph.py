"""Attach to a compiled graph that nobody edits.

The graph is somebody else's. We name its nodes, say what a good reply is, and get back a graph
that is called as before: with a validation edge, retries, and one outcome per run.
"""

from typing import TypedDict

from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph

from coord_plugins import Retry, ValidationEdge, check

LINES = {"T-1": "INV-7 line 2", "T-2": "INV-9 line 1", "T-3": "INV-4 line 5"}
faults = {"timeouts": 1}


class State(TypedDict):
    """What flows through the graph."""

    ticket: str
    line: str
    draft: str


def their_graph():
    """A graph from another team: retrieve -> writer."""

    def retrieve(state: State) -> dict:
        if state["ticket"] == "T-2" and faults["timeouts"]:
            faults["timeouts"] -= 1
            raise TimeoutError("the database did not answer")
        return {"line": LINES[state["ticket"]]}

    def writer(state: State, feedback: str | None = None) -> dict:
        forgets = state["ticket"] == "T-1" and feedback is None
        cited = "" if forgets else f" It is explained by {state['line']}."
        return {"draft": f"Dear customer, your invoice is correct.{cited}"}

    graph = StateGraph(State)
    graph.add_node("retrieve", retrieve)
    graph.add_node("writer", writer)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "writer")
    graph.add_edge("writer", END)
    return graph.compile()


def cites_a_line(draft: str) -> bool:
    return " line " in draft


def explains_the_right_line(state: State) -> bool:
    return LINES[state["ticket"]] in state["draft"]


edge = ValidationEdge(
    "writer",
    check(cites_a_line, feedback="cite the invoice line that explains the amount"),
    of="draft",
    max_attempts=3,
)
app = attach(
    their_graph(),
    edge,
    pipeline="support",
    goal=explains_the_right_line,
    retry={"*": Retry(max_attempts=3, initial_interval=0.01)},
    task="ticket",
)

if __name__ == "__main__":
    print(app.coord.explain())
    print()
    for ticket in LINES:
        reply = app.invoke({"ticket": ticket})["draft"]
        print(f"{ticket}  {app.coord.last.outcome:<22} {reply}")

    found = app.coord.summary().only
    [judged] = found.edges
    print(f"\nsuccess {found.success} of {found.finished}, recovered {found.recovered}")
    print(
        f"edge writer: {judged.calls} calls = {judged.passes} passes + {judged.rejects} rejects "
        f"+ {judged.validator_errors} validator errors"
    )

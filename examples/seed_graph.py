"""The graph that everybody writes first, and what one decorator changes.

researcher -> writer -> validate: pass -> END, retry -> writer

The conditional edge has a way out after three attempts, but nobody increments `attempts`. On a
draft that never passes, the graph runs until LangGraph's recursion limit ends it.
"""

from typing import TypedDict

from coord_langgraph import validated
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph

from coord_plugins import AttemptsExhaustedError, track

HARD = "refunds"  # the one topic on which the writer never cites its source
calls = {"writer": 0}


class State(TypedDict):
    """What flows through the graph."""

    topic: str
    notes: str
    draft: str
    attempts: int


def researcher(state: State) -> dict:
    return {"notes": f"[1] the handbook on {state['topic']}"}


def writer(state: State) -> dict:
    calls["writer"] += 1
    source = "" if state["topic"] == HARD else " [1]"
    return {"draft": f"About {state['topic']}: it is all in the handbook.{source}"}


def cites_source(draft: str) -> tuple[bool, str]:
    return "[1]" in draft, "cite the source as [1]"


def validate(state: State) -> str:
    if state["attempts"] >= 3:  # never true: no node writes `attempts`
        return "pass"
    return "pass" if cites_source(state["draft"])[0] else "retry"


def build(writer_node):
    """The graph, with this writer."""
    graph = StateGraph(State)
    graph.add_node("researcher", researcher)
    graph.add_node("writer", writer_node)
    graph.add_edge(START, "researcher")
    graph.add_edge("researcher", "writer")
    graph.add_conditional_edges("writer", validate, {"pass": END, "retry": "writer"})
    return graph.compile()


def question(topic: str) -> State:
    return {"topic": topic, "notes": "", "draft": "", "attempts": 0}


def as_written() -> None:
    """Loop to the recursion limit (25 here; LangGraph's own default is about 10,000)."""
    calls["writer"] = 0
    try:
        build(writer).invoke(question(HARD), {"recursion_limit": 25})
    except GraphRecursionError:
        print(f"as written: recursion limit of 25 reached after {calls['writer']} writer calls")


def with_one_decorator() -> None:
    """The same nodes and edges; the writer is judged, at most three times."""
    calls["writer"] = 0
    app = build(validated(cites_source, of="draft", max_attempts=3)(writer))
    support = track("seed-graph", goal=cites_source, output="draft")
    for topic in ("invoices", "credits", HARD, "renewals", "discounts"):
        try:
            with support as run:
                run.output = app.invoke(question(topic), {"recursion_limit": 25})
        except AttemptsExhaustedError as error:
            print(f"with one decorator: {topic}: {error.attempts} attempts, then escalated")
        print(f"  {topic:<10} {support.coord.last.outcome}")

    found = support.coord.summary().only
    low, high = found.success_rate.interval
    print(f"writer calls: {calls['writer']} for {found.finished} runs")
    print(f"success: {found.success} of {found.finished}, 95 % interval {low:.2f} to {high:.2f}")
    print(f"lost at: {dict(found.lost_at)}")


if __name__ == "__main__":
    as_written()
    with_one_decorator()

"""A ladder: the first rejection is mended in place, the second one step back.

On two of the tickets the error is upstream: the researcher brought last month's line. No
rewriting by the writer can mend that. The same validator, with the same number of attempts,
is run twice: looping in place, and looping along a ladder.
"""

from contextlib import suppress
from typing import TypedDict

from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph

from coord_plugins import AttemptsExhaustedError, ValidationEdge, check

TRUE_LINE = {"T-1": 14, "T-2": 27, "T-3": 33, "T-4": 48}
UPSTREAM = {"T-2", "T-4"}  # here the researcher looks at the wrong month first
CARELESS = {"T-3"}  # here the writer first mistypes the number


class State(TypedDict):
    """What flows through the graph."""

    ticket: str
    line: int
    draft: str


def researcher(state: State, feedback: str | None = None) -> dict:
    line = TRUE_LINE[state["ticket"]]
    wrong_month = state["ticket"] in UPSTREAM and feedback is None
    return {"line": line - 1 if wrong_month else line}


def writer(state: State, feedback: str | None = None) -> dict:
    line = state["line"]
    if state["ticket"] in CARELESS and feedback is None:
        line *= 10
    return {"draft": f"line {line} explains the amount"}


def amount_matches(draft: str, inputs: dict) -> tuple[bool, str]:
    """Recompute from the books; it says what is wrong, not where it went wrong."""
    return f"line {TRUE_LINE[inputs['ticket']]} " in draft, "the line does not match the amount"


graph = StateGraph(State)
graph.add_node("researcher", researcher)
graph.add_node("writer", writer)
graph.add_edge(START, "researcher")
graph.add_edge("researcher", "writer")
graph.add_edge("writer", END)
bare = graph.compile()


def run_tickets(name: str, back_to: tuple[str, ...]) -> None:
    edge = ValidationEdge(
        "writer", check(amount_matches), of="draft", back_to=back_to, max_attempts=3
    )
    app = attach(bare, edge, pipeline=name, goal=amount_matches, output="draft")
    for ticket in TRUE_LINE:
        with suppress(AttemptsExhaustedError):  # recorded as escalated
            app.invoke({"ticket": ticket})
    found = app.coord.summary().only
    [judged] = found.edges
    calls = {step.step: step.executions for step in found.steps}
    print(f"{name}: back to {' -> '.join(back_to)}")
    print(f"  success {found.success} of {found.finished}, lost at {dict(found.lost_at)}")
    print(f"  rejects {judged.rejects} = {judged.loops} loops + {judged.exhausted} exhausted")
    print(f"  calls {calls}")


if __name__ == "__main__":
    run_tickets("in place", ("writer",))
    run_tickets("ladder", ("writer", "researcher"))

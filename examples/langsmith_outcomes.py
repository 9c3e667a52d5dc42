"""The end-to-end outcome in LangSmith: on the root of every trace, beside what the steps suggest.

Four tickets go through a graph with a validation edge. With LANGSMITH_API_KEY set they are traced
to your account, into the project "coord-example"; without one, to a local server for tests, which
shows what it was sent.
"""

import os
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TypedDict

import langsmith
from coord_langgraph import attach
from coord_langsmith import LangSmith, langsmith_report
from langgraph.graph import END, START, StateGraph

from coord_plugins import STOP, ValidationEdge, check, flush
from coord_plugins.testing import langsmith_server

PROJECT = "coord-example"
LINES = {"T-1": "INV-7 line 2", "T-2": "INV-9 line 1", "T-3": "INV-4 line 5", "T-4": "INV-1 line 1"}


class State(TypedDict):
    """What flows through the graph."""

    ticket: str
    line: str
    draft: str


def retrieve(state: State) -> dict:
    wrong = state["ticket"] == "T-3"  # the search finds a line, and it is another customer's
    return {"line": "INV-5 line 5" if wrong else LINES[state["ticket"]]}


def writer(state: State, feedback: str | None = None) -> dict:
    forgets = state["ticket"] == "T-4" or (state["ticket"] == "T-2" and feedback is None)
    return {"draft": "It is correct." if forgets else f"It is explained by {state['line']}."}


def cites_a_line(draft: str) -> bool:
    return " line " in draft


def explains_the_right_line(state: State) -> bool:
    return LINES[state["ticket"]] in state["draft"]


graph = StateGraph(State)
graph.add_node("retrieve", retrieve)
graph.add_node("writer", writer)
graph.add_edge(START, "retrieve")
graph.add_edge("retrieve", "writer")
graph.add_edge("writer", END)
edge = ValidationEdge(
    "writer", check(cites_a_line, feedback="cite the line"), of="draft", otherwise=STOP
)

if __name__ == "__main__":
    with ExitStack() as stack:
        has_key = bool(os.environ.get("LANGSMITH_API_KEY"))
        server = None if has_key else stack.enter_context(langsmith_server())
        client = langsmith.Client() if server is None else server.client()
        # in a service: LangSmith() alone, and LANGSMITH_TRACING=true in the environment
        tracer = LangSmith(PROJECT, client, spool=stack.enter_context(TemporaryDirectory()))
        app = attach(
            graph.compile(),
            edge,
            pipeline="support",
            goal=explains_the_right_line,
            task="ticket",
            listeners=[tracer],
        )
        with tracer.tracing(True):
            for ticket in LINES:
                app.invoke({"ticket": ticket}, {"run_name": ticket})
                print(f"{ticket}  {app.coord.last.outcome}")
        flush(30)

        if server is None:
            print(f"a few seconds from now: coord langsmith report --project {PROJECT}")
        else:
            print(f"\n{server.tree()}\n")
            found = langsmith_report(PROJECT, client=client)
            steps = found.node_success
            print(f"by its steps: {steps.successes} of {steps.n} without an error")
            print(found)
            print(f"at the first try: {found.first_try.successes}")

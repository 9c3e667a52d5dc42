"""The demo's billing desk, written out: a plain LangGraph graph, then one `attach`.

`coord demo` does the same at length and compares. Here is all that it takes: six nodes that know
nothing of this library, and a policy beside them. The model is simulated (no key, no network) and
goes wrong in 3 % of each step's executions.

Run it with: python examples/billing_desk.py
"""

from __future__ import annotations

from typing import Any, TypedDict

from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph

from coord_plugins import STOP, Clock, Handover, Retry, ValidationEdge, check, use_clock
from coord_plugins.demo import (
    STEPS,
    Desk,
    checks,
    goal,
    prompt_for,
    working,
)

TICKETS = 120
desk = Desk(seed=7)


class State(TypedDict, total=False):
    """The ticket, and each step's artefact under its name."""

    ticket_id: str
    ticket: str
    triage: dict[str, Any]
    retrieve: dict[str, Any]
    reconcile: dict[str, Any]
    draft: dict[str, Any]
    review: dict[str, Any]
    send: dict[str, Any]


# --- the graph as a team would have it: nothing here knows of validation


def make_node(step: str) -> Any:
    def node(state: State, feedback: str | None = None) -> dict[str, Any]:
        reply = desk.model.reply(prompt_for(step, state, feedback), step)
        return {step: desk.work(step, reply.text, state)}

    return node


builder = StateGraph(State)
for before, step in zip((START, *STEPS), STEPS):  # noqa: B905 - one shorter by design
    builder.add_node(step, make_node(step))
    builder.add_edge(before, step)
builder.add_edge(STEPS[-1], END)
graph = builder.compile()

# --- the policy beside it

judge = checks(desk.conn)  # they recompute from the database and never see a true answer


def edge(step: str, *back_to: str) -> ValidationEdge:
    def recomputed(output: Any, inputs: Any, ctx: Handover) -> tuple[bool, str]:
        accepted = {name: update[name] for name, update in ctx.outputs.items()}
        return judge[step](output, inputs, accepted)

    validator = check(recomputed, name=f"check_{step}")
    return ValidationEdge(step, validator, of=step, back_to=back_to, otherwise=STOP)


app = attach(
    graph,
    edge("triage", "triage", "triage"),
    edge("retrieve", "retrieve", "triage"),
    edge("reconcile", "reconcile", "retrieve", START),
    edge("draft", "draft", "reconcile", START),
    edge("review", "review", "draft", START),
    edge("send", "send", "review", START),
    pipeline="billing-desk",
    goal=check(lambda output, inputs: goal(output, desk.answers[inputs["ticket_id"]]), name="goal"),
    retry=Retry(max_attempts=4),
    task="ticket_id",
    store="memory",
)


class NoWaiting(Clock):
    """The example does not wait for the simulated rate limits."""

    def sleep(self, seconds: float) -> None:
        """Go on at once."""


def main() -> None:
    with use_clock(NoWaiting()):
        for ticket in desk.tickets[:TICKETS]:
            with working(ticket.id):
                final = app.invoke({"ticket_id": ticket.id, "ticket": ticket.text})

    print(f"The last ticket: {ticket.text}\n\nThe reply:\n{final['send']['body']}\n")
    found = app.coord.summary().only
    low, high = found.success_rate.interval
    print(f"{found.success} of {found.started} tickets were explained right.")
    print(f"At 95 % confidence the rate is between {low:.1%} and {high:.1%}.")
    for record in app.coord.runs:
        for note in record.notes[:1]:
            print(f"  {record.task}: {note.kind} at {note.step}: {note.text[:90]}")


if __name__ == "__main__":
    main()

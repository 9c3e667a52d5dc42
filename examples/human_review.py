"""A person decides when the attempts are spent: `otherwise=HUMAN`.

The graph pauses with LangGraph's `interrupt()`. The request and the answer have the format of
LangChain's human-in-the-loop middleware, so that an existing review page can show them. A pause
and its resume are one run.
"""

from typing import TypedDict

from coord_langgraph import attach
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from coord_plugins import HUMAN, AttemptsExhaustedError, ValidationEdge, check

TOO_MUCH = 100


class State(TypedDict):
    """What flows through the graph."""

    customer: str
    amount: int
    note: str


def offer(state: State, feedback: str | None = None) -> dict:
    amount = 250 if feedback is None else 150  # told so, it offers less, but not little enough
    return {"amount": amount, "note": f"goodwill for {state['customer']}"}


def send(state: State) -> dict:
    return {"note": f"{state['note']}: sent {state['amount']}"}


def within_limit(amount: int) -> tuple[bool, str]:
    return amount <= TOO_MUCH, f"{amount} is more than {TOO_MUCH}"


graph = StateGraph(State)
graph.add_node("offer", offer)
graph.add_node("send", send)
graph.add_edge(START, "offer")
graph.add_edge("offer", "send")
graph.add_edge("send", END)

edge = ValidationEdge("offer", check(within_limit), of="amount", otherwise=HUMAN)
app = attach(
    graph.compile(checkpointer=InMemorySaver()),
    edge,
    pipeline="goodwill",
    goal=lambda state: "sent" in state["note"],
)

APPROVE = {"type": "approve"}
EDIT = {
    "type": "edit",
    "edited_action": {"name": "offer", "args": {"output": {"amount": 80, "note": "a voucher"}}},
}
REJECT = {"type": "reject", "message": "call the customer instead"}


def handle(customer: str, decision: dict) -> None:
    config = {"configurable": {"thread_id": customer}}
    paused = app.invoke({"customer": customer}, config)
    [request] = paused["__interrupt__"]
    action = request.value["action_requests"][0]
    print(f"{customer}: asks about {action['name']} {action['args']['output']['amount']}")

    try:
        state = app.invoke(Command(resume={"decisions": [decision]}), config)
        said = state["note"]
    except AttemptsExhaustedError as error:
        said = error.verdicts[0].explanation
    print(f"  {decision['type']}: {said}")


if __name__ == "__main__":
    for customer, decision in {"Ada": APPROVE, "Ben": EDIT, "Cem": REJECT}.items():
        handle(customer, decision)
    found = app.coord.summary().only
    print(f"{found.finished} runs, outcomes:", {k: n for k, n in found.outcomes.items() if n})

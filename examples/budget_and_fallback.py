"""A budget for the whole run, and a fallback when a vendor is down.

On two tickets the vendor is down, so another one stands in. The budget is half a cent a ticket.
It is checked before each call, and the call in flight may overshoot it: two tickets end a little
above, and the one with a long history is stopped before its next call.
"""

from typing import TypedDict

from coord_langgraph import attach
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

from coord_plugins import Budget, BudgetExceededError, Retry

PRICES = {"small": (1.0, 4.0), "other": (2.0, 8.0)}  # US dollars per million tokens: in, out


class State(TypedDict):
    """What flows through the graph."""

    ticket: str
    pages: int
    summary: str
    reply: str


class VendorDownError(Exception):
    """What a vendor's client raises."""

    status_code = 503


def ask(model: str, pages: int) -> str:
    """A simulated chat model; a real one reports its usage in the same fields."""
    answer = AIMessage(
        f"answered by {model}",
        usage_metadata={
            "input_tokens": 1_000 * pages,
            "output_tokens": 200,
            "total_tokens": 1_000 * pages + 200,
        },
        response_metadata={"model_name": model},
    )
    return GenericFakeChatModel(messages=iter([answer])).invoke("summarise").text


def summarise(state: State) -> dict:
    return {"summary": ask("small", state["pages"])}


def write(state: State) -> dict:
    if state["ticket"] in ("T-2", "T-4"):
        raise VendorDownError("service unavailable")
    return {"reply": ask("small", 1)}


def write_elsewhere(state: State) -> dict:
    return {"reply": ask("other", 1)}


graph = StateGraph(State)
graph.add_node("summarise", summarise)
graph.add_node("write", write)
graph.add_edge(START, "summarise")
graph.add_edge("summarise", "write")
graph.add_edge("write", END)

app = attach(
    graph.compile(),
    pipeline="summaries",
    goal=lambda state: "answered" in state["reply"],
    retry={"write": Retry(max_attempts=2, initial_interval=0.01, fallbacks=[write_elsewhere])},
    budget=Budget(max_cost_usd=0.005),
    prices=PRICES,
)

if __name__ == "__main__":
    for ticket, pages in {"T-1": 1, "T-2": 2, "T-3": 6, "T-4": 1}.items():
        try:
            reply = app.invoke({"ticket": ticket, "pages": pages})["reply"]
        except BudgetExceededError as error:
            reply = str(error)
        record = app.coord.last
        print(f"{ticket}  {record.outcome:<20} ${record.cost:.4f}  {reply}")

    cost = app.coord.summary().only.cost
    print(f"total ${cost.total:.4f} = first ${cost.first:.4f} + fallback ${cost.fallback:.4f}")
    print(f"per success ${cost.per_success:.4f}: the stopped run is paid for as well")

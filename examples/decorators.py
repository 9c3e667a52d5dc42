"""Decorators on LangGraph nodes: validate and retry where the functions are.

The writer first answers with broken JSON, then without a source, then well. Each time it is
told why it was rejected. The model call behind it also fails once with an overload.
"""

from typing import TypedDict

from coord_langgraph import retrying, track, validated
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from coord_plugins import Retry, check, current_step, schema


class Reply(BaseModel):
    """What the writer must return."""

    text: str
    source: str


class State(TypedDict):
    """What flows through the graph."""

    question: str
    reply: Reply


class OverloadedError(Exception):
    """What a model vendor's client raises when it is busy."""

    status_code = 529


ANSWERS = [
    OverloadedError("try again later"),
    '{"text": "Refunds take five days", "source":',
    '{"text": "Refunds take five days", "source": "a friend"}',
    '{"text": "Refunds take five days", "source": "handbook, page 12"}',
]
prompts: list[str] = []


def ask_model(prompt: str) -> str:
    prompts.append(prompt)
    answer = ANSWERS[len(prompts) - 1]
    if isinstance(answer, Exception):
        raise answer
    return answer


def names_the_handbook(reply: Reply) -> bool:
    return "handbook" in reply.source


@retrying(Retry(max_attempts=4, initial_interval=0.01))
@validated(
    schema(Reply),
    check(names_the_handbook, feedback="cite the handbook"),
    of="reply",
    max_attempts=3,
)
def writer(state: State, feedback: str | None = None) -> dict:
    told = f" Mind: {feedback}" if feedback else ""
    answer = ask_model(state["question"] + told)
    step = current_step()
    print(f"execution {step.execution}, attempt {step.attempt}: {answer}")
    return {"reply": answer}


graph = StateGraph(State)
graph.add_node("writer", writer)
graph.add_edge(START, "writer")
graph.add_edge("writer", END)
app = graph.compile()

if __name__ == "__main__":
    desk = track("handbook-desk", goal=names_the_handbook, output="reply")
    with desk as run:
        run.output = app.invoke({"question": "How long does a refund take?"})
    print("parsed:", repr(run.output["reply"]))
    print("last prompt:", prompts[-1])

    record = desk.coord.last
    tally = record.steps["writer"]
    print(f"outcome: {record.outcome}")
    print(f"{tally.executions} executions = {tally.errors} error + {tally.calls} candidates")
    print(f"{tally.calls} candidates = {tally.passes} pass + {tally.rejects} rejects")

"""Tokens on a screen: a rejected draft is not shown, and neither is the judge.

The same graph is streamed three times: bare, attached with `stream="hold"` (the default), and
attached with `stream="live"`, which shows every token at once and announces each rejection.
"""

from itertools import cycle
from typing import TypedDict

from coord_langgraph import attach
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

from coord_plugins import ValidationEdge, judge

DRAFTS = ["We will look into it.", "Line 2 of your invoice is a yearly fee."]


class State(TypedDict):
    """What flows through the graph."""

    question: str
    draft: str


def build():
    """The graph and its judge, with models that start from their first answer."""
    author = GenericFakeChatModel(messages=cycle(AIMessage(d) for d in DRAFTS))
    critic = GenericFakeChatModel(messages=cycle([AIMessage("too vague"), AIMessage("good")]))

    def writer(state: State, feedback: str | None = None) -> dict:
        return {"draft": author.invoke(f"{state['question']} {feedback or ''}").text}

    def is_concrete(draft: str) -> tuple[bool, str]:
        said = critic.invoke(f"Is this reply concrete? {draft}").text
        return said == "good", said

    graph = StateGraph(State)
    graph.add_node("writer", writer)
    graph.add_edge(START, "writer")
    graph.add_edge("writer", END)
    return graph.compile(), is_concrete


def show(app) -> None:
    screen = ""
    for mode, chunk in app.stream({"question": "Why so much?"}, stream_mode=["messages", "custom"]):
        screen += chunk[0].text if mode == "messages" else f" <{chunk['type']}> "
    print("  screen:", screen)


if __name__ == "__main__":
    print("bare")
    show(build()[0])
    for stream in ("hold", "live"):
        graph, is_concrete = build()
        edge = ValidationEdge("writer", judge(is_concrete), of="draft", stream=stream)
        app = attach(graph, edge, pipeline="chat")
        print(f'attached, stream="{stream}"')
        show(app)
        tally = app.coord.last.steps["writer"]
        print(f"  {tally.calls} candidates, {tally.rejects} rejected")

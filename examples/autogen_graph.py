"""A loop back inside one branch of a graph, which leaves the other branch alone.

A planner starts two branches: one looks figures up and writes about them, the other one chooses a
picture. An editor joins them. The text has a wrong figure; the writer cannot mend that, since the
figure came from the analyst. So the rejection goes back to the analyst, in the same branch. The
picture is not chosen again, and the editor waits for the text that passes. The graph has no edge
for it: a loop of AutoGen's own would be a conditional edge, with an activation group of its own.
"""

import asyncio
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from coord_autogen import attach

from coord_plugins import PolicyError, ValidationEdge, check

SCRIPTS = {  # what each agent's model says, turn by turn
    "planner": ["Figures on one side, a picture on the other."],
    "analyst": ["Sales rose by 40 %.", "Sales rose by 4 %."],
    "writer": ["A great year: 40 % more!", "A good year: 4 % more."],
    "artist": ["(a drawing of a ladder)"],
    "editor": ["A good year: 4 % more. (a drawing of a ladder)"],
}
GRAPH = [
    ("planner", "analyst"),
    ("analyst", "writer"),
    ("planner", "artist"),
    ("writer", "editor"),
    ("artist", "editor"),
]


class Model(ReplayChatCompletionClient):
    """AutoGen's own client for tests: it says what it is given, in turn."""

    def __init__(self, *replies: str) -> None:
        usage = RequestUsage(prompt_tokens=300, completion_tokens=40)
        said = [
            CreateResult(finish_reason="stop", content=text, usage=usage, cached=False)
            for text in replies
        ]
        info = ModelInfo(
            vision=False,
            function_calling=False,
            json_output=False,
            family=ModelFamily.UNKNOWN,
            structured_output=False,
        )
        super().__init__(said, model_info=info)


def their_graph() -> GraphFlow:
    """The graph as it was: no cycle, no condition."""
    agents = {name: AssistantAgent(name, Model(*said)) for name, said in SCRIPTS.items()}
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for source, target in GRAPH:
        builder.add_edge(agents[source], agents[target])
    return GraphFlow(list(agents.values()), builder.build())


def in_the_books(text: str) -> tuple[bool, str]:
    """A figure that the books confirm."""
    return " 4 %" in text, "the books say 4 %"


def going_back_to(target: str) -> Any:
    """The graph with an edge on the writer."""
    edge = ValidationEdge("writer", check(in_the_books), back_to=target)
    return attach(their_graph(), edge, pipeline="report", goal=in_the_books)


async def main() -> None:
    bare = await their_graph().run(task="Write the yearly report.")
    drafts = [message.to_text() for message in bare.messages if message.source == "writer"]
    print("as it was, the editor got:", drafts)

    team = going_back_to("analyst")
    result = await team.run(task="Write the yearly report.")
    print("\nwith a loop back to the analyst:")
    for message in result.messages:
        if isinstance(message, BaseChatMessage):
            print(f"  {message.source}: {message.to_text()}")
    record = team.coord.last
    print(f"\n{result.stop_reason}; {record.outcome}")
    print("turns:", {name: tally.executions for name, tally in record.steps.items()})

    print("\na target whose other branch would run again is refused:")
    try:
        going_back_to("planner")
    except PolicyError as error:
        print(f"  {error}")


if __name__ == "__main__":
    asyncio.run(main())

"""A selector team with a function of its own, and edges that nobody in the chat sees.

A researcher finds the invoice line, a writer explains it, a sender sends the letter. The team's
own `selector_func` says who speaks next; it is not changed and knows of no validator. One edge
with a ladder judges the letters: the first rejection is mended by the writer, the second one goes
back to the researcher. A failed model call is made again, but never one of the sender, and the
goal says whether the letter that went out was right.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.messages import BaseChatMessage, ThoughtEvent
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from coord_autogen import attach

from coord_plugins import STOP, Retry, ValidationEdge, check, run_context

LINES = {"T-1": "INV-1", "T-2": "INV-2", "T-3": "INV-3", "T-4": "INV-4", "T-5": "INV-5"}
OVERLOADED = TimeoutError("the model did not answer")
SCRIPTS: dict[str, dict[str, list[Any]]] = {  # what each agent's model says, ticket by ticket
    "T-1": {"researcher": ["INV-1"], "writer": ["See INV-1."]},
    "T-2": {"researcher": [OVERLOADED, "INV-2"], "writer": ["See INV-2."]},
    "T-3": {"researcher": ["INV-3"], "writer": ["It is correct.", "See INV-3."]},
    "T-4": {
        "researcher": ["INV-9", "INV-4"],  # last month's at first: no writing can mend that
        "writer": ["See INV-9.", "Please see INV-9.", "See INV-4."],
    },
    "T-5": {"researcher": ["INV-9"] * 3, "writer": ["See INV-9."] * 4},
}


class Model(ReplayChatCompletionClient):
    """AutoGen's own client for tests, which says what it is given; an error is raised once."""

    def __init__(self, *replies: Any) -> None:
        usage = RequestUsage(prompt_tokens=300, completion_tokens=40)
        info = ModelInfo(
            vision=False,
            function_calling=False,
            json_output=False,
            family=ModelFamily.UNKNOWN,
            structured_output=False,
        )
        self.faults = [reply for reply in replies if isinstance(reply, Exception)]
        said = [
            CreateResult(finish_reason="stop", content=text, usage=usage, cached=False)
            for text in replies
            if isinstance(text, str)
        ]
        super().__init__(said, model_info=info)

    async def create(self, messages: Sequence[Any], **options: Any) -> CreateResult:
        """Reply to one prompt."""
        if self.faults:
            raise self.faults.pop(0)
        return await super().create(messages, **options)


FOLLOWING = {"user": "researcher", "researcher": "writer", "writer": "sender"}


def their_team(ticket: str) -> SelectorGroupChat:
    """The team as it was: three assistants, and a function that says who is next."""
    scripts = {**SCRIPTS[ticket], "sender": ["Sent."]}
    return SelectorGroupChat(
        [AssistantAgent(name, Model(*scripts[name])) for name in scripts],
        model_client=Model(),
        selector_func=lambda thread: FOLLOWING[thread[-1].source],
        termination_condition=SourceMatchTermination(["sender"]),
    )


def explains_the_line(letter: str, inputs: str) -> tuple[bool, str]:
    """It sees that the letter is wrong, and not where it went wrong."""
    return LINES[inputs] in letter, "the letter does not explain the amount"


def right_letter_was_sent(last: str, inputs: str, ctx: Any) -> bool:
    """The goal sees the sender's last word; the letter is what the writer last handed over."""
    return last == "Sent." and LINES[inputs] in ctx.outputs["writer"]


def attached_team(ticket: str) -> Any:
    """A team per ticket: AutoGen's agents remember what they have heard."""
    return attach(
        their_team(ticket),
        ValidationEdge(
            "writer",
            check(explains_the_line),
            back_to=("writer", "researcher"),  # a ladder: first in place, then one step back
            max_attempts=4,
            otherwise=STOP,
        ),
        pipeline="support",
        goal=right_letter_was_sent,
        retry={"*": Retry(max_attempts=3, initial_interval=0.01), "sender": None},
    )


async def main() -> None:
    print(attached_team("T-1").coord.explain())
    outcomes: Counter[str] = Counter()
    for ticket in SCRIPTS:
        team = attached_team(ticket)
        with run_context(task=ticket):
            result = await team.run(task=ticket)
        record = team.coord.last
        calls = {name: tally.executions for name, tally in record.steps.items()}
        print(f"\n{ticket}  {record.outcome:<22} {record.tokens:>5} tokens  calls {calls}")
        for message in result.messages:
            if isinstance(message, (BaseChatMessage, ThoughtEvent)):
                said = message.to_text().partition(":")[0]  # the reason for a stop is long
                print(f"     {message.source}: {said}")
        outcomes[record.outcome] += 1

    print("\noutcomes:")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {outcome:<22} {count}")


if __name__ == "__main__":
    asyncio.run(main())

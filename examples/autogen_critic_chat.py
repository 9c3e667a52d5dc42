"""A validator joins a writer/critic chat that stays as it is.

The chat is the one of every tutorial: a writer and a critic in turns, until the critic says
APPROVE. The critic is a model and approves what reads well, also a source that does not exist. A
`ValidatorAgent` is put between the two. It is code, everybody sees what it says, and it gives the
word back to the writer; the critic is asked about answers that have passed. The writer, the critic
and the condition that ends the chat are not touched.
"""

import asyncio
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from coord_autogen import ValidatorAgent, attach, verdict_of

from coord_plugins import grounded

HANDBOOK = {"H-1": "Refunds take five days.", "H-2": "A voucher is valid for a year."}
DRAFTS = {  # what the writer's model says, question by question
    "How long does a refund take?": ["Five days, see H-1."],
    "How long is a voucher valid?": ["A year, see H-9.", "A year, see H-2."],
    "Can I pay by cheque?": ["Yes, see H-7.", "Yes, see H-8.", "Yes, see H-9."],
}
PRICES = {"gpt-4o-mini": (0.15, 0.60)}  # US dollars per million tokens: input, output
sources_exist = grounded(r"H-\d+", HANDBOOK, name="sources_exist")


class Model(ReplayChatCompletionClient):
    """AutoGen's own client for tests: it says what it is given, in turn."""

    model = "gpt-4o-mini"  # the name under which its calls are priced

    def __init__(self, *replies: str) -> None:
        usage = RequestUsage(prompt_tokens=400, completion_tokens=20)
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


def their_chat(question: str, *more: Any) -> RoundRobinGroupChat:
    """The chat as it was; `more` joins between the writer and the critic."""
    writer = AssistantAgent("writer", Model(*DRAFTS[question]), system_message="Answer briefly.")
    critic = AssistantAgent(
        "critic", Model("Short and clear. APPROVE"), system_message="Say APPROVE if it is good."
    )
    ends = TextMentionTermination("APPROVE", sources=["critic"])
    return RoundRobinGroupChat([writer, *more, critic], termination_condition=ends)


def validated_chat(question: str) -> Any:
    """The same chat with one participant more."""
    validator = ValidatorAgent("validator", sources_exist, watches="writer", otherwise="desk")
    desk = AssistantAgent("desk", Model("A colleague will write to you."))
    return attach(
        their_chat(question, validator, desk),
        pipeline="handbook",
        goal=cites_the_handbook,
        prices=PRICES,
    )


def cites_the_handbook(last: str, ctx: Any) -> bool:
    """The goal: the answer, not the critic's last word, names a source that exists."""
    return any(source in ctx.outputs["writer"] for source in HANDBOOK)


def show(messages: Any) -> None:
    """What was said, with the verdicts marked."""
    for message in messages:
        if isinstance(message, BaseChatMessage):
            verdict = verdict_of(message)
            mark = "  " if verdict is None else "ok" if verdict.passed else "no"
            print(f"  {mark} {message.source}: {message.to_text()}")


async def main() -> None:
    question = "How long is a voucher valid?"
    print("as it was:")
    show((await their_chat(question).run(task=question)).messages)

    print("\nwith a validator in the chat:")
    records = []
    for question in DRAFTS:
        team = validated_chat(question)
        show((await team.run(task=question)).messages)
        record = team.coord.last
        print(f"  = {record.outcome}, {record.tokens} tokens, ${record.cost:.6f}\n")
        records.append(record)

    judged = [record.steps["validator"] for record in records]
    passes, rejects = sum(j.passes for j in judged), sum(j.rejects for j in judged)
    calls = sum(j.calls for j in judged)
    print(f"validator: {calls} answers judged = {passes} passes + {rejects} rejects")


if __name__ == "__main__":
    asyncio.run(main())

"""After an exception: a new team, with the state that was saved before.

A desk answers a customer's questions, one after the other; each is a run of the same chat. In the
second one the model refuses the key. AutoGen leaves such a team object unusable for good: run
again, it would return 'The group chat is stopped.' as if it had done its work. So the desk saves
the state before each question, and when a run fails it builds a new team, loads that state and
asks once more. Both runs are in the records: the one that failed and the one that did not.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from coord_autogen import TeamUnusableError, attach

from coord_plugins import Retry, ValidationEdge, check, collect_runs, run_context

# AutoGen logs every exception of an agent with its traceback; this one is part of the story.
logging.getLogger("autogen_core").setLevel(logging.CRITICAL)

ANSWERS = {
    "How long does a refund take?": "Five days, see H-1.",
    "And how long is a voucher valid?": "A year, see H-2.",
}
keys = iter(["expired", "valid"])  # what the vault hands out: the second team gets a new one


class KeyRefusedError(Exception):
    """As a vendor's client raises it."""

    status_code = 401


class Model(ReplayChatCompletionClient):
    """AutoGen's own client for tests, with a key that stops working after the first call."""

    def __init__(self, key: str) -> None:
        info = ModelInfo(
            vision=False,
            function_calling=False,
            json_output=False,
            family=ModelFamily.UNKNOWN,
            structured_output=False,
        )
        super().__init__([], model_info=info)
        self.key = key
        self.questions: list[list[str]] = []

    async def create(self, messages: Sequence[Any], **options: Any) -> CreateResult:
        """Answer the last question."""
        asked = [m.content for m in messages if m.type == "UserMessage"]
        self.questions.append(asked)
        if self.key == "expired" and len(asked) > 1:
            raise KeyRefusedError("the key has expired")
        return CreateResult(
            finish_reason="stop",
            content=ANSWERS[asked[-1]],
            usage=RequestUsage(prompt_tokens=300, completion_tokens=20),
            cached=False,
        )


models: list[Model] = []


def new_team() -> Any:
    """A team with its policy: both are cheap, and a breaker is shared by all of a process."""
    models.append(Model(next(keys)))
    writer = AssistantAgent("writer", models[-1], system_message="Answer briefly.")
    ends = SourceMatchTermination(["writer"])
    return attach(
        RoundRobinGroupChat([writer], termination_condition=ends),
        ValidationEdge("writer", check(names_a_source)),
        pipeline="desk",
        goal=names_a_source,
        retry=Retry(max_attempts=3),  # a refused key is not tried again
    )


def names_a_source(answer: str) -> bool:
    return "see H-" in answer


async def ask(team: Any, question: str) -> tuple[Any, str]:
    """Ask; after a failure ask a new team that knows what this one knew before.

    Returns:
        The team to go on with, and the answer.
    """
    before = await team.save_state()
    try:
        result = await team.run(task=question)
    except Exception as error:  # noqa: BLE001 - whatever it was, the team is unusable
        print(f"  failed: {type(error).__name__}: {error}")
        team = new_team()
        await team.load_state(before)
        result = await team.run(task=question)  # once more; a second failure is raised
    return team, result.messages[-1].to_text()


async def main() -> None:
    first = team = new_team()
    for question in ANSWERS:
        print(question)
        with run_context(task=question), collect_runs() as runs:
            team, answer = await ask(team, question)
        print(f"  {answer}")
        print(f"  outcomes: {[record.outcome for record in runs]}")

    print("\nwhat the new team's model was told:", models[-1].questions[-1])
    try:
        await first.run(task="Are you there?")
    except TeamUnusableError as error:
        print(f"the first team, asked once more: {error}")


if __name__ == "__main__":
    asyncio.run(main())

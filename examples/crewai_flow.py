"""A CrewAI Flow is the run; the crews inside are its children.

The flow looks a customer's invoice up with one crew and writes the letter with another. All three
are attached: the flow has the goal, and the writing crew has an edge with a ladder. Its validator
sees that the letter is wrong and not why. The first rejection is mended in place; the second one
goes back to the outline, where the error was. What the crews cost is in the flow's cost, once;
how often they looped stands in their own records.
"""

import atexit
import os
import re
import shutil
import tempfile
from typing import Any

# CrewAI reads these when it is imported: no telemetry, no question about traces, and its files go
# to a folder that is removed at exit.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")
os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp(prefix="coord-example-")
atexit.register(shutil.rmtree, os.environ["CREWAI_STORAGE_DIR"], ignore_errors=True)

from coord_crewai import attach  # noqa: E402
from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.flow.flow import Flow, listen, start  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402

from coord_plugins import STOP, ValidationEdge, check, collect_runs  # noqa: E402

AMOUNTS = {"Ada": 29, "Ben": 41, "Cy": 17}
PRICES = {"scripted": (1.0, 4.0)}  # US dollars per million tokens: input, output


class ScriptedLLM(BaseLLM):
    """A model that plays a script behind CrewAI's own interface: no key, no network."""

    def call(
        self,
        messages: Any,
        *args: Any,
        from_task: Any = None,
        from_agent: Any = None,
        **kwargs: Any,
    ) -> str:
        """Reply to one prompt, with the events that CrewAI's own models emit."""
        prompt = "\n".join(message["content"] for message in messages)
        told = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, **told)
            reply = self._reply(from_task.name, prompt)
            usage = {"prompt_tokens": 300, "completion_tokens": 50}
            self._emit_call_completed_event(
                response=reply, call_type=LLMCallType.LLM_CALL, usage=usage, **told
            )
        return reply

    def _reply(self, task: str, prompt: str) -> str:
        customer = re.search("|".join(AMOUNTS), prompt)[0]
        if task == "look_up":
            return f"{customer} paid ${AMOUNTS[customer]}."
        amount = int(re.search(r"\$(\d+)", prompt)[1])
        # for Cy the outline is wrong at first, for Ben the letter alone
        careless = {"outline": "Cy", "write": "Ben"}[task] == customer
        if careless and "does not match the books" not in prompt:
            amount += 10
        if task == "outline":
            return f"Thank for ${amount}, and wish a good day."
        return f"Dear {customer}, thank you for ${amount}. Have a good day!"

    def supports_function_calling(self) -> bool:
        """The tasks have no tools."""
        return False

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        """The prompts fit into any window."""
        return 1


def make_crew(**tasks: str) -> Crew:
    """A plain crew: one agent and one task for each description."""
    model = ScriptedLLM(model="scripted")
    agents = [Agent(role=name, goal="Be right.", backstory="Staff.", llm=model) for name in tasks]
    made = [
        Task(name=name, description=text, expected_output="One sentence.", agent=agent)
        for (name, text), agent in zip(tasks.items(), agents, strict=True)
    ]
    return Crew(agents=agents, tasks=made)


def matches_the_books(letter: str, inputs: dict) -> tuple[bool, str]:
    """It says that the letter is wrong, not where it went wrong."""
    right = f"${AMOUNTS[inputs['customer']]}." in letter
    return right, "the amount does not match the books"


research = attach(
    make_crew(look_up="What did customer {customer} pay?"), pipeline="research", prices=PRICES
)
writing = attach(
    make_crew(outline="Outline a letter. {facts}", write="Write the letter to {customer}."),
    ValidationEdge(
        "write",
        check(matches_the_books),
        back_to=("write", "outline"),  # a ladder: first in place, then one step back
        otherwise=STOP,
    ),
    pipeline="writing",
    prices=PRICES,
)


class Letters(Flow):
    """Look up, then write."""

    @start()
    def find_facts(self) -> str:
        """The first crew."""
        return research.kickoff(inputs={"customer": self.state["customer"]}).raw

    @listen(find_facts)
    def write_letter(self, facts: str) -> str:
        """The second crew."""
        inputs = {"customer": self.state["customer"], "facts": facts}
        return writing.kickoff(inputs=inputs).raw


flow = attach(
    Letters(suppress_flow_events=True),  # CrewAI's panels would fill the screen
    pipeline="letters",
    goal=matches_the_books,
    task="customer",
    prices=PRICES,
)

if __name__ == "__main__":
    for customer in AMOUNTS:
        with collect_runs() as runs:
            letter = flow.kickoff(inputs={"customer": customer})
        [whole] = [run for run in runs if run.parent_id is None]
        crews = [run for run in runs if run.parent_id == whole.run_id]
        print(f"{customer}: {letter}")
        print(f"  {whole.pipeline:<9} {whole.outcome}  ${whole.cost:.4f}")
        for run in crews:
            calls = {name: tally.executions for name, tally in run.steps.items()}
            print(f"  - {run.pipeline:<9} ${run.cost:.4f}  calls {calls}")
            for note in run.notes:
                print(f"    {note.step}: {note.kind}, {note.text}")

    found = flow.coord.summary().only
    paid = sum(run.cost for crew in (research, writing) for run in crew.coord.runs)
    print(f"\nletters: success {found.success} of {found.finished}, ${found.cost.total:.4f}")
    print(f"the crews' own records add up to the same ${paid:.4f}: it is counted once")

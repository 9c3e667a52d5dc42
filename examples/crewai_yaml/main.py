"""Attach outcome metrics, an edge and retries to a crew that nobody edits.

`crew.py` and `config/` are a project as `crewai create crew` lays it out. Here the crew gets a
policy. A letter that cites no invoice of July goes back to the researcher, an earlier task, with
the reason. A model that does not answer is asked again. Each ticket ends in exactly one outcome.

Run it with: python examples/crewai_yaml/main.py
"""

import atexit
import logging
import os
import shutil
import tempfile
import warnings

# CrewAI reads these when it is imported: no telemetry, no question about traces, and its files go
# to a folder that is removed at exit.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")
os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp(prefix="coord-example-")
atexit.register(shutil.rmtree, os.environ["CREWAI_STORAGE_DIR"], ignore_errors=True)
# the timeout below is simulated, and counted in the record; CrewAI would also log it as an error
logging.getLogger("crewai.flow.runtime").setLevel(logging.CRITICAL)
# CrewAI warns of its own callbacks when it copies a crew of a `@CrewBase` class
warnings.filterwarnings("ignore", "function callbacks cannot be serialized")

from coord_crewai import attach  # noqa: E402
from crew import SupportCrew  # noqa: E402
from scripted import BOOKS  # noqa: E402

from coord_plugins import STOP, Retry, ValidationEdge, check  # noqa: E402

TICKETS = {
    "T-1": "What are the 29 dollars in July?",
    "T-2": "I paid twice in July!",
    "T-3": "Why is July dearer than June?",
    "T-4": "What did I pay for in July?",
}


def cites_july(letter: str) -> bool:
    return "INV-7" in letter


def explains_the_right_line(letter: str, inputs: dict) -> bool:
    return BOOKS.get(inputs["ticket_id"], "?") in letter


edge = ValidationEdge(
    "write",
    check(cites_july, feedback="cite an invoice of July"),
    back_to="research",
    otherwise=STOP,
)
crew = attach(
    SupportCrew().crew(),
    edge,
    pipeline="support",
    goal=explains_the_right_line,
    retry={"*": Retry(max_attempts=3, initial_interval=0.01), "publish": None},
    task="ticket_id",
    prices={"scripted": (1.0, 4.0)},  # US dollars per million tokens: input, output
)

if __name__ == "__main__":
    print(crew.coord.explain())
    inputs = [{"ticket_id": ticket, "question": asked} for ticket, asked in TICKETS.items()]
    results = crew.kickoff_for_each(inputs=inputs)

    print("\nticket  outcome                calls  tokens  by CrewAI  letter")
    for record, result in zip(crew.coord.runs, results, strict=True):
        calls = sum(tally.executions for tally in record.steps.values())
        print(
            f"{record.task}     {record.outcome:<21}  {calls:>5}  {record.tokens:>6}  "
            f"{result.token_usage.total_tokens:>9}  {result.raw or '(none was sent)'}"
        )

    found = crew.coord.summary().only
    [judged] = found.edges
    print(f"\nsuccess {found.success} of {found.finished}, lost at {dict(found.lost_at)}")
    print(
        f"edge write: {judged.calls} calls = {judged.passes} passes + {judged.rejects} rejects; "
        f"{judged.loops} loops to research + {judged.exhausted} exhausted"
    )
    print(
        f"{found.tokens} tokens, ${found.cost.total:.4f} = first ${found.cost.first:.4f} + "
        f"retry ${found.cost.retry:.4f}; per success ${found.cost.per_success:.4f}"
    )
    claimed = sum(result.token_usage.total_tokens for result in results)
    print(f"CrewAI adds up {claimed}: it counts per agent, and from the model's first call on")

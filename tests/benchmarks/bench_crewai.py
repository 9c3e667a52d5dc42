"""What attaching costs a CrewAI task: six trivial tasks, the bare crew beside the attached."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

# CrewAI reads these while it is imported; a folder in memory where there is one, since CrewAI
# commits each task to a database, and a disk would drown what is measured
_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
_place = tempfile.TemporaryDirectory(dir=_memory, ignore_cleanup_errors=True)
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_TRACING_ENABLED="false",
    CREWAI_DISABLE_VERSION_CHECK="true",
    CREWAI_STORAGE_DIR=_place.name,
)

from bench_core import Heard  # noqa: E402
from coord_crewai import attach  # noqa: E402
from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402
from measure import (  # noqa: E402
    Batch,
    Size,
    difference,
    interleaved,
    medians,
    spread,
    table,
    verdict,
)

from coord_plugins import Retry, ValidationEdge, check  # noqa: E402

TASKS = 6
LIMIT_US, LIMIT_SHARE = 200.0, 0.10
"""The target per task: microseconds, or a share of the bare task, whichever is larger."""


class Model(BaseLLM):
    """Answers at once, with the events and the usage of a CrewAI model."""

    def call(self, messages: Any, *args: Any, from_task: Any = None, **kwargs: Any) -> str:
        told = {"from_task": from_task, "from_agent": kwargs.get("from_agent")}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, **told)
            self._emit_call_completed_event(
                response="done",
                call_type=LLMCallType.LLM_CALL,
                messages=messages,
                usage={"prompt_tokens": 10, "completion_tokens": 2},
                **told,
            )
        return "done"

    def supports_function_calling(self) -> bool:
        return False

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        return 1


class Hosts(Model):
    """Stands for CrewAI's own models: their events can be relied on, so no hook must look."""


Hosts.__module__ = "crewai.llms.bench"


def is_text(output: Any) -> bool:
    """A check that passes."""
    return type(output) is str


def crew(kind: type[Model] = Hosts) -> Any:
    """Six tasks in a row."""
    model = kind(model="bench")
    agents = [Agent(role=f"a{i}", goal="g", backstory="b", llm=model) for i in range(TASKS)]
    return Crew(
        agents=agents,
        tasks=[
            Task(name=f"t{i}", description="do it", expected_output="text", agent=agents[i])
            for i in range(TASKS)
        ],
    )


def attached(*, edges: bool, listeners: Any = (), kind: type[Model] = Hosts) -> Any:
    """Such a crew under a policy."""
    policy = [ValidationEdge(f"t{i}", check(is_text), max_attempts=3) for i in range(TASKS)]
    return attach(
        crew(kind),
        *(policy if edges else ()),
        pipeline="bench",
        retry=Retry(max_attempts=3),
        store="off",
        listeners=listeners,
    )


def batch(one: Any, is_async: bool) -> Batch:
    """Kick a crew off n times."""

    def work(n: int) -> None:
        for _ in range(n):
            one.kickoff()

    def awork(n: int) -> None:
        async def many() -> None:
            for _ in range(n):
                await one.akickoff()

        asyncio.run(many())

    return awork if is_async else work


def crewai(size: Size) -> None:
    """Overhead per task, synchronous and async."""
    for is_async in (False, True):
        crews = {
            "bare": crew(),
            "bare again (A/A)": crew(),
            "attached, no edges": attached(edges=False),
            "attached, an edge on every task": attached(edges=True),
            "attached, edges, listener": attached(edges=True, listeners=[Heard()]),
            "attached, edges, a model of one's own": attached(edges=True, kind=Model),
        }
        samples = interleaved({n: (batch(c, is_async), 3) for n, c in crews.items()}, size)
        samples = {name: [x / TASKS for x in found] for name, found in samples.items()}
        middle = medians(samples)
        limit = max(LIMIT_US, LIMIT_SHARE * middle["bare"])
        rows = []
        for name, value in middle.items():
            over = difference(samples[name], samples["bare"])
            said = verdict(over <= limit) if name.startswith("attached") else ""
            cells = f"{value:.0f}", f"{spread(samples[name]):.0f}", f"{over:+.0f}"
            rows.append((name, *cells, f"{over / middle['bare']:+.1%}", said))
        head = ("", "us/task", "+-", "over bare", "share", "target")
        kind = "async" if is_async else "sync"
        title = f"{kind}: CPU time per task, target +{limit:.0f} us, median of {size.rounds}"
        table(title, head, rows)

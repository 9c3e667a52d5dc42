"""Runs the conformance suite on CrewAI: one task and one agent per step, one scripted model."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import re
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from coord_crewai import attach
from coord_crewai._attach import HOST
from coord_crewai._values import FEEDBACK_HEAD
from crewai import Agent, BaseLLM, Crew, Task
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMStreamChunkEvent
from crewai.hooks import HookAborted, InterceptionPoint
from crewai.hooks.dispatch import scoped_hooks
from crewai.state.checkpoint_config import CheckpointConfig
from pydantic import PrivateAttr

from coord_plugins import CoordWarning, collect_runs, current_run, current_step, use_clock
from coord_plugins.testing import Script
from coord_plugins.testing.conformance import Cancelled, Case, Killed, Observed, Ran

Form = Literal["plain", "stream", "hierarchical"]
FORMS = get_args(Form)


class CaseModel(BaseLLM):
    """A scripted model behind CrewAI's own interface; each call is one call of the case's step.

    CrewAI's agents call `call` in a thread, also under `akickoff`.
    """

    _case: Any = PrivateAttr()  # private, so that checkpoints leave them out
    _released: Any = PrivateAttr()

    def call(self, messages: Any, *args: Any, from_task: Any = None, **kwargs: Any) -> Any:
        step, received, feedback = self._asked(messages, from_task)
        with contextlib.suppress(LookupError):  # the case says itself what its calls use
            current_run().add_usage(input_tokens=0, output_tokens=0, cost_usd=0.0)
        if self._case.task is not None and self._is_cancelled_in(step):
            self._case._begin(step, received, feedback)
            self._case.task.get_loop().call_soon_threadsafe(self._case.task.cancel)
            self._released.wait(10)
            return "too late"
        return self._told(self._case.call(step, received, feedback), from_task)

    def _is_cancelled_in(self, step: str) -> bool:
        script = self._case.scripts[step]
        return isinstance(script.entries[min(script.count, len(script.entries) - 1)], Cancelled)

    def _asked(self, messages: Any, task: Any) -> tuple[str, Any, str | None]:
        prompt = (
            messages if isinstance(messages, str) else "\n".join(m["content"] for m in messages)
        )
        received = self._received(task.name, prompt, task.agent.crew)
        _, found, words = (task.prompt_context or "").partition(f"{FEEDBACK_HEAD}\n")
        assert not found or words in prompt
        heard = words if found and self._case.route != "current" else None
        return task.name, received, heard

    def _received(self, step: str, prompt: str, crew: Any) -> Any:
        before = self._case.before(step)
        if before is None:
            return re.search(r"<<(.*?)>>", prompt)[1]  # type: ignore[index]  # it is in every prompt
        return output_of(crew, before, prompt)

    def _told(self, said: Any, task: Any) -> Any:
        text = said if isinstance(said, str) else str(said)
        if self.stream:
            for word in re.findall(r"\S+\s*", text):
                chunk = LLMStreamChunkEvent(chunk=word, call_id="call", from_task=task)
                crewai_event_bus.emit(self, chunk)
        return text

    def supports_function_calling(self) -> bool:
        return False

    def get_context_window_size(self) -> int:
        return 100_000

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        return 1


def output_of(crew: Any, step: str, prompt: str | None = None) -> Any:
    """What a step handed over: its structured output, else its text, which is in the prompt."""
    output = next(t for t in crew.tasks if t.name == step).output
    assert prompt is None or output.raw in prompt
    return output.raw if output.pydantic is None else output.pydantic


class CrewDriver:
    """One way to run a crew: plain, streamed, or under a manager."""

    host = HOST

    def __init__(self, form: Form = "plain") -> None:
        self.form = form

    def run(self, case: Case, *, is_async: bool) -> Observed:
        with warnings.catch_warnings(record=True) as warned, use_clock(case.clock):
            warnings.simplefilter("always", CoordWarning)
            crew = self.attached(case)
            runs = [self._once(case, crew, is_async, i) for i in case.inputs]
        said = [str(w.message) for w in warned if issubclass(w.category, CoordWarning)]
        return Observed(runs=runs, log=case.log, warnings=said)

    def resume(self, case: Case, *, is_async: bool) -> Observed:
        # what CrewAI restores stays in its context: each case has one of its own
        return contextvars.copy_context().run(self._resume, case, is_async)

    def _resume(self, case: Case, is_async: bool) -> Observed:
        runs: list[Ran] = []
        with (
            warnings.catch_warnings(),
            use_clock(case.clock),
            tempfile.TemporaryDirectory() as place,
        ):
            warnings.simplefilter("ignore")
            # one event: CrewAI writes those of several in any order
            config = CheckpointConfig(location=place, on_events=["task_started"])
            crew = self.crew(case, checkpoint=config)
            hooks = {InterceptionPoint.PRE_STEP: [lambda context: written()]}
            while not runs or (runs[-1].record is None and len(runs) < 5):
                if runs:  # as another process would: from the file alone
                    crew = restored(place, self._model(case))
                crew = self.attached(case, crew)
                with scoped_hooks(hooks):
                    ran = self._once(case, crew, is_async, case.inputs[0] if not runs else None)
                written()
                over = not isinstance(ran.error, (Killed, HookAborted))
                runs.append(replace(ran, record=ran.record if over else None))
        return Observed(runs=runs, log=case.log)

    def pause(self) -> None:
        raise HookAborted("wait")

    def attached(self, case: Case, crew: Any = None) -> Any:
        crew = crew or self.crew(case)
        return attach(
            crew,
            *case.edges,
            pipeline="conformance",
            goal=case.goal,
            retry=case.retries(lambda script: fallback(case, crew, script)),
            budget=case.budget,
            **case.settings,
        )

    def _model(self, case: Case) -> CaseModel:
        self.released = threading.Event()
        model = CaseModel(model="scripted")
        model._case, model._released = case, self.released
        return model

    def crew(self, case: Case, **more: Any) -> Crew:
        """The pipeline of a case as a crew that knows nothing of this library."""
        model = self._model(case)
        # CrewAI's own retry is the user's setting; steps under a `Retry` have it off anyway
        agents = [
            Agent(role=n, goal="g", backstory="b", llm=model, max_retry_limit=0)
            for n in case.scripts
        ]
        tasks = [
            Task(name=n, description=f"{n} <<{{input}}>>", expected_output="text", agent=agent)
            for n, agent in zip(case.scripts, agents, strict=True)
        ]
        more |= {"stream": self.form == "stream"}
        if self.form == "hierarchical":
            manager = Agent(role="manager", goal="g", backstory="b", llm=model, max_retry_limit=0)
            more |= {"process": "hierarchical", "manager_agent": manager}
        return Crew(agents=agents, tasks=tasks, **more)

    def _once(self, case: Case, crew: Any, is_async: bool, given: str | None) -> Ran:
        inputs = None if given is None else {"input": given}
        streamed: list[str] | None = [] if self.form == "stream" else None

        async def main() -> Any:
            case.task = asyncio.current_task()
            try:
                found = await crew.akickoff(inputs=inputs)
                if streamed is not None:
                    async for chunk in found:
                        streamed.append(chunk.content)
                    return found.result
            finally:
                self.released.set()  # or the loop would wait for the thread when it closes
            return found

        def plain() -> Any:
            found = crew.kickoff(inputs=inputs)
            if streamed is not None:
                streamed.extend(chunk.content for chunk in found)
                return found.result
            return found

        output, error = None, None
        with collect_runs() as records:
            try:
                output = asyncio.run(main()) if is_async else plain()
            except BaseException as raised:
                error = raised
        return Ran(
            record=records[-1] if records else None,
            output=(output.raw or None) if output is not None else None,
            error=original(case, error),
            state=[handed_on(t.output) for t in crew.tasks] + [handed_on(output)],
            streamed=None if streamed is None else ["".join(streamed)],
        )


def written() -> None:
    """Wait for CrewAI's checkpoints: it writes them in threads, which new events can break."""
    crewai_event_bus.flush()


def restored(place: str, model: CaseModel) -> Crew:
    """The crew of the newest checkpoint, with the model that no checkpoint can hold."""
    newest = max(Path(place).rglob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    crew = Crew.from_checkpoint(CheckpointConfig(location=place, restore_from=newest))
    for agent in [*crew.agents, *([crew.manager_agent] if crew.manager_agent else [])]:
        agent.llm = model
    return crew


def original(case: Case, error: BaseException | None) -> BaseException | None:
    """The scripted error: asyncio makes a new TimeoutError of one that crosses a thread."""
    if type(error) is not TimeoutError:
        return error
    scripted = [e for s in case.scripts.values() for e in s.entries]
    scripted = [getattr(e, "then", e) for e in scripted]
    same = [e for e in scripted if type(e) is TimeoutError and e.args == error.args]
    return same[0] if same else error


def handed_on(output: Any) -> Any:
    """What others see of an output; its `messages` are the agent's own conversation."""
    return output and (output.raw, output.pydantic, output.json_dict)


def fallback(case: Case, crew: Any, script: Script) -> Callable[..., Any]:
    """A script as a callable that stands in for a task."""

    def stand_in(context: str | None, feedback: str | None = None) -> str:
        before = case.before(current_step().name)
        received = current_run().inputs["input"] if before is None else output_of(crew, before)
        return str(case.call(script, received, feedback))

    stand_in.__name__ = script.__name__
    return stand_in

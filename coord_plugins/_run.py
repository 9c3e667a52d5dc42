"""`Run`: one execution of a pipeline, from its start to its outcome."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ._budget import Usage
from ._clock import Clock, current_clock
from ._config import clean, configured
from ._context import activate, collectors, current, labels
from ._edge import START
from ._events import RunFinished, RunPaused, RunStarted
from ._mode import Mode
from ._outcome import describe, ending, lost_at, outcome_of
from ._policy import Policy
from ._record import Note, RunRecord
from ._resuming import Resuming
from ._retry import limited
from ._spending import CHILD, OUTSIDE
from ._step import EdgeState, Step
from ._tally import StepSettled, StepTally
from ._tracing import Traces
from .errors import BudgetExceededError

if TYPE_CHECKING:
    from ._coord import Coord

log = logging.getLogger("coord_plugins.run")


class Run(Resuming):
    """A run that is under way; `current_run()` returns it.

    Attributes:
        run_id: Opaque and unique.
        task: What the run is to get done.
        inputs: The run's input.
        outputs: The latest accepted output per step.
        metadata: The run's metadata; add to it at any time before the run ends.
        output: The final output (set by a host; in `with track(...)` by you).
        entries: The steps that START stands for, where a host learns them as it runs.
        host_run_id: The id that the host's own tracing gives this run, where it has one.
        traces: Who follows the run where it happens.
        unjudged: Why the run has no label whatever its goal says, where a host has seen that.
    """

    def __init__(
        self,
        coord: Coord,
        *,
        mode: Mode,
        inputs: Any = None,
        run_id: str | None = None,
        task: str | None = None,
        thread: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        given = labels.get({})
        parent: Run | None = current.get()
        self.coord = coord
        self.policy: Policy = coord.policy
        self.mode = mode
        self.inputs = inputs
        self.run_id: str = run_id or given.get("run_id") or str(uuid4())
        self.task: str | None = given.get("task") or task
        self.thread = thread
        self.parent = parent if parent is not None and not parent.done else None
        tags = (*configured("tags"), *self.policy.tags, *tags, *given.get("tags", ()))
        self.tags = tuple(dict.fromkeys(tags))
        self.metadata: dict[str, Any] = {
            **configured("metadata"),
            **self.policy.metadata,
            **(metadata or {}),
            **given.get("metadata", {}),
        }
        self.clock: Clock = current_clock()
        self.started_at = self.clock.time()
        self.origin = self.clock.monotonic()
        self.elapsed_before = 0.0
        self.entries = coord.entries
        self.unjudged: str | None = None
        self.edges: dict[str, EdgeState] = {}
        self.outputs: dict[str, Any] = {}
        self.tallies: dict[str, StepTally] = {}
        self.notes: list[Note] = []
        self.mistaken: set[str] = set()
        """Steps whose latest judged candidate was rejected and labelled wrong, on right input."""
        self.output: Any = None
        self.spent = Usage()
        self.started = 0
        self.over_budget = False
        self.blamed: str | None = None
        self.would_stop: str | None = None
        self.resumable = False
        self.done: bool = False
        self.resumed = False
        self.active: activate | None = None
        self._counters: dict[str, Iterator[int]] = {}
        self._lock = threading.Lock()
        self._collectors = collectors.get()
        self.host_run_id: str | None = None
        self.traces: Traces | None = None
        if mode != "off":
            tracers = coord.tracers()
            if tracers:
                self.traces = Traces.of(tracers, self)
            coord.publish(RunStarted, self.record)

    # ------------------------------------------------------------------ steps

    def enter(
        self,
        name: str,
        *,
        input: Any = None,
        branch: str = "",
        reachable: Callable[[str], bool] = lambda _: True,
        edge: Any = None,
        retry: Any = None,
    ) -> Step:
        """Begin one piece of host work.

        Args:
            name: The step's name.
            input: What the step works on, for `Handover.input`.
            branch: Tells parallel instances of one step apart; "" for a single one.
            reachable: Whether the host has steps left to loop back to a target.
            edge: The step's edge; default the policy's.
            retry: The step's retry; default the policy's.
        """
        if edge is None:
            edge = self.policy.edges.get(name)
        else:
            self.coord.note(edge)
        retry = retry if retry is not None else self.policy.retry_of(name)
        return Step(self, name, edge, limited(retry), input, branch, reachable)

    def executions(self, name: str) -> Iterator[int]:
        """The numbers of this step's executions in this run, from 1; atomic across threads."""
        found = self._counters.get(name)
        if found is None:
            tally = self.tallies.get(name)
            first = 1 + (tally.executions if tally is not None else 0)
            found = self._counters.setdefault(name, itertools.count(first))
        return found

    def feedback_for(self, name: str, *, but: str | None = None) -> str | None:
        """The words of every edge (`but` one step's) that waits for this step to do better."""
        names = {name, START} if name in self.entries else {name}
        waiting = [s for step, s in self.edges.items() if step != but]
        words = [s.feedback for s in waiting if not names.isdisjoint(s.targets)]
        return "\n".join(words) if words else None

    def given_right(self, name: str) -> bool:
        """Whether no accepted output of another step is labelled wrong."""
        return not any(t.accepted is False for n, t in self.tallies.items() if n != name)

    def take(self, step: Step) -> dict[str, Any]:
        """Enter a committed step into the record; returns the durable part of the change."""
        durable: dict[str, Any] = {}
        if step.state is not step.entry:
            durable[f"e:{step.name}"] = self._move_edge(step)
        with self._lock:  # parallel branches of one step commit to one tally
            tally = self.tallies.get(step.name)
            if tally is None:
                tally = self.tallies.setdefault(step.name, StepTally())
            for event in step.events:
                tally.add(event)
                if event.decision != "accept" or event.would_reject:
                    self._note(event)
        if self.resumable and step.events:
            part = StepTally()
            for event in step.events:
                part.add(event)
            durable[f"t:{step.name}"] = part.to_dict()
        if step.events:
            self.coord.publish_steps(step.events)
            step.events = []
        return durable

    def _move_edge(self, step: Step) -> list[Any]:
        """Keep the edge's new state.

        A pass only forgets the rejections that it answers: a parallel branch may have been
        rejected in the meantime, and that counts.
        """
        if step.state is not None:
            self.edges[step.name] = step.state
            return [*step.state]
        if self.edges.get(step.name) is step.entry:
            self.edges.pop(step.name, None)
        return [step.entry.rejects if step.entry is not None else 0]

    def diverted_by_budget(self, step: str, error: BudgetExceededError) -> None:
        """Note that the budget's `otherwise` takes over instead of this step."""
        with self._lock:
            tally = self.tallies.setdefault(step, StepTally())
            tally.fallbacks += 1
            self.notes.append(
                Note(step=step, execution=tally.executions, kind="budget", text=str(error))
            )

    def judged_by_human(self, step: str, *, approved: bool, words: str | None = None) -> None:
        """Note a person's word on an exhausted candidate (`otherwise=HUMAN`)."""
        tally = self.tallies.setdefault(step, StepTally())
        tally.human += 1
        kind = "approved" if approved else "declined"
        self.notes.append(
            Note(step=step, execution=tally.executions, kind=kind, text=clean(words) or "")
        )

    def write_off(self, step: Step) -> None:
        """Count what an abandoned step spent: the money is gone even if the work is redone."""
        usage = Usage()
        for part in (step.usage, step.validation, *(u for e in step.events for u in e[-2:])):
            if part is not None:
                usage.add(part)
        if usage.calls or usage.cost_usd:
            self.spend_on(step.name, "cost_retry", usage)
        step.events = []
        if step.circuit is not None:
            step.circuit.abandon()

    def _note(self, event: StepSettled) -> None:
        said = [j.explanation or j.name for j in event.judgements if not j.passed]
        text = event.error or "; ".join(said)
        kind = event.decision if event.decision != "accept" else "would_reject"
        self.notes.append(
            Note(step=event.step, execution=event.execution, kind=kind, text=clean(text) or "")
        )
        if event.decision in ("exhausted", "escalate", "fail"):
            self.blamed = event.step

    # ------------------------------------------------------------------ life

    def pause(self) -> None:
        """The run waits; its resume continues it."""
        self.done = True
        self._refer()
        record = self.record(status="paused")
        self._end_traces(record)
        self.coord.publish(RunPaused, lambda: record)

    def _refer(self) -> None:
        """Keep with the run where its traces are."""
        if self.traces is not None:
            self.metadata.update(self.traces.reference(self))

    def _end_traces(self, record: RunRecord) -> None:
        if self.traces is not None:
            self.traces.end(self, record)
            self.traces = None  # whoever keeps the run need not keep all that was traced of it

    def close(
        self,
        *,
        error: BaseException | None = None,
        passed: bool | None = None,
        explanation: str | None = None,
        goal_error: str | None = None,
    ) -> RunRecord:
        """End the run: classify it, publish it, and hand its record on."""
        self.done = True
        end, detail = ending(self.tallies.values(), error)
        outcome = outcome_of(end, detail, passed)
        blamed = None
        if not outcome.startswith(("success", "unlabelled")):
            blamed = lost_at(self.tallies, self.blamed, passed)
        self._refer()
        record = self.record(
            status="finished",
            finished_at=self.clock.time(),
            end=end,
            detail=detail,
            passed=passed,
            explanation=clean(explanation),
            goal_error=clean(goal_error),
            error=clean(describe(error)) if error is not None else None,
            lost_at=blamed,
        )
        log.debug("run %s of %s ended: %s", self.run_id, self.policy.pipeline, outcome)
        self.coord.finished(record, resumed=self.resumed)
        for collector in self._collectors:
            collector.append(record)
        self._end_traces(record)
        self.coord.publish(RunFinished, lambda: record)
        return record

    def record(self, **ended: Any) -> RunRecord:
        """The run as it stands.

        Args:
            **ended: The fields of `RunRecord` that only its end or pause knows.
        """
        payload = None
        if configured("capture") == "payloads":
            payload = {"input": clean(repr(self.inputs)), "output": clean(repr(self.output))}
        return RunRecord(
            run_id=self.run_id,
            pipeline=self.policy.pipeline,
            policy_id=self.coord.policy_id,
            goal_id=self.coord.goal_id,
            mode=self.mode,
            task=self.task,
            thread=self.thread,
            parent_id=self.parent.run_id if self.parent is not None else None,
            tags=self.tags,
            metadata=dict(self.metadata),
            environment=configured("environment"),
            release=configured("release"),
            started_at=self.started_at,
            elapsed=self.elapsed,
            would_stop=self.would_stop,
            steps=dict(self.tallies),
            notes=tuple(self.notes),
            payload=payload,
            **ended,
        )


__all__ = ["CHILD", "OUTSIDE", "Run"]

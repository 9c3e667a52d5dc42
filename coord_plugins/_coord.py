"""`Coord`: what stands behind one attached pipeline, and what `.coord` gives its user."""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ._bus import Delivery, delivery_of
from ._clock import current_clock
from ._config import clean, configured, current_mode, generation
from ._context import current as running
from ._describe import remember, remember_edge
from ._drive import adrive, drive
from ._edge import ValidationEdge
from ._events import OutcomeRecorded
from ._explain import explained
from ._judge import Judging, ask
from ._late import judge_later
from ._outcome import describe
from ._policy import Host, Policy
from ._prices import Prices
from ._record import RunRecord
from ._retry import Breaker, Circuit, circuit_of
from ._run import Run
from ._tally import StepSettled
from ._validators import Validator
from ._verdict import Handover
from .errors import AsyncValidatorError, BudgetError, ValidatorError

if TYPE_CHECKING:
    from ._reporting._report import Report

log = logging.getLogger("coord_plugins.run")
KEPT_RUNS = 1_000
"""How many records `.coord.runs` keeps."""


class Coord:
    """One attached pipeline: `.coord` on the attached object.

    Attributes:
        policy: What was attached.
        host: What the host can do.
        findings: What attaching noticed, one sentence each.
        entries: The steps that START stands for on this host.
        runs: The latest 1,000 records, oldest first.
    """

    def __init__(
        self,
        policy: Policy,
        host: Host,
        *,
        bare: Any = None,
        findings: Iterable[str] = (),
        entries: Iterable[str] = (),
        recorded: bool = True,
        undo: Callable[[], None] | None = None,
    ) -> None:
        """Stand behind an attached pipeline.

        Args:
            policy: What was attached.
            host: What the host can do.
            bare: The host's object without the policy.
            findings: What attaching noticed, one sentence each.
            entries: The steps that START stands for.
            recorded: False: no store and no listener hears of the runs.
            undo: Takes the policy off `bare`, on a host whose objects are attached in place.
        """
        self.policy = policy
        self.host = host
        self.findings = tuple(findings)
        self.entries = frozenset(entries)
        self.policy_id = policy.policy_id
        self.goal_id = policy.goal_id
        if recorded:
            remember(policy, self.policy_id, host)
        self.prices = self._priced()
        self._recorded = recorded
        self._noted: set[int] = set()
        self._generation = generation()
        self.runs: collections.deque[RunRecord] = collections.deque(maxlen=KEPT_RUNS)
        self._bare = bare
        self._undo = undo
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] | None = None
        self._tracers: list[Any] = []
        if policy.store is not None:
            self._listeners()  # a named store that cannot be opened is an error now

    # ------------------------------------------------------------------ for users

    @property
    def last(self) -> RunRecord | None:
        """The record of the run that ended last, for notebooks."""
        return self.runs[-1] if self.runs else None

    def summary(self) -> Report:
        """The report over `.runs`."""
        from ._reporting._report import report

        return report(list(self.runs))

    def explain(self) -> str:
        """The edges, feedback routes and worst-case calls of this policy, as text."""
        return "\n".join(explained(self.policy, self.host, self.findings))

    def note(self, edge: ValidationEdge) -> None:
        """Remember an edge that did not come with the policy, but with a decorated function."""
        if id(edge) not in self._noted:
            self._noted.add(id(edge))
            if self._recorded:
                remember_edge(self.policy.pipeline, self.policy_id, edge)

    def detach(self) -> Any:
        """The bare host object, as it was before `attach`."""
        if self._undo is not None:
            self._undo()
        return self._bare

    # ------------------------------------------------------------------ for adapters

    def start(
        self,
        inputs: Any,
        *,
        is_async: bool,
        run_id: str | None = None,
        thread: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Run | None:
        """Begin a run, or None when the mode is "off": then take the host's own path.

        Raises:
            AsyncValidatorError: The policy needs an async host and this call is synchronous.
        """
        mode = current_mode(self.policy.mode)
        if mode == "off":
            return None
        if not is_async:
            names = self.policy.async_validators()
            if names:
                raise AsyncValidatorError(
                    f"validator {names[0]!r} of pipeline {self.policy.pipeline!r} is async, and "
                    "this is a synchronous call; call the async form (ainvoke, akickoff, "
                    "`async with track`), or give it a synchronous validator"
                )
        return Run(
            self,
            mode=mode,
            inputs=inputs,
            run_id=run_id,
            task=self._task(inputs),
            thread=thread,
            tags=tags,
            metadata=metadata,
        )

    def _task(self, inputs: Any) -> str | None:
        said = self.policy.task
        if said is None:
            return None
        try:
            found = _pick(said, inputs)
        except Exception as error:  # the user's own `task`: a missing name must not stop a run
            log.warning("task of pipeline %r failed: %s", self.policy.pipeline, describe(error))
            return None
        return None if found is None else str(found)

    def finish(self, run: Run, output: Any = None, error: BaseException | None = None) -> RunRecord:
        """End a run: ask its goal, classify it, publish it."""
        record: RunRecord = drive(self._finishing(run, output, error), None)
        return record

    async def afinish(
        self, run: Run, output: Any = None, error: BaseException | None = None
    ) -> RunRecord:
        """The async form of `finish`."""
        record: RunRecord = await adrive(self._finishing(run, output, error), None)
        return record

    def _finishing(self, run: Run, output: Any, error: BaseException | None) -> Judging[RunRecord]:
        run.output = output
        goal = self.policy.goal
        if error is None and run.unjudged is not None:
            return run.close(goal_error=run.unjudged)
        if error is not None or goal is None:
            return run.close(error=error)
        try:
            selected = _pick(self.policy.output, output) if self.policy.output else output
        except Exception as failed:  # the user's own `output`: without it there is no label
            return run.close(goal_error=f"output: {describe(failed)}")
        ctx = _goal_context(run)
        if goal.kind == "llm":
            record = run.close()
            judge_later(lambda: self._judge_goal(record, goal, selected, ctx))
            return record
        token = running.set(run)
        try:
            said, judgement = yield from ask(None, goal, selected, ctx)
        except (AsyncValidatorError, BudgetError) as refused:  # the run is over and did its work
            return run.close(goal_error=str(refused))
        finally:
            running.reset(token)
        if isinstance(said, ValidatorError):
            log.warning("the goal of %s failed: %s", self.policy.pipeline, said.reason)
            return run.close(goal_error=said.reason)
        explanation = None if said.passed else judgement.explanation
        return run.close(passed=said.passed, explanation=explanation)

    def _judge_goal(self, record: RunRecord, goal: Validator, output: Any, ctx: Handover) -> None:
        """On the goals' worker: ask a model whether the run did its job."""
        if goal.binding.is_async:
            import asyncio

            said, judgement = asyncio.run(adrive(ask(None, goal, output, ctx), None))
        else:
            said, judgement = drive(ask(None, goal, output, ctx), None)
        failed = isinstance(said, ValidatorError)
        passed = None if failed else said.passed
        event = OutcomeRecorded(
            record.run_id,
            passed,
            current_clock().time(),
            "measured",
            clean(judgement.explanation) if passed is False else None,
            clean(said.reason) if isinstance(said, ValidatorError) else None,
        )
        with self._lock:
            for index, kept in enumerate(self.runs):
                if kept.run_id == record.run_id:
                    self.runs[index] = replace(
                        kept,
                        passed=passed,
                        explanation=event.explanation,
                        goal_error=event.goal_error,
                    )
        self._put([event])

    def circuit(self, target: str, breaker: Breaker) -> Circuit:
        """The live circuit of a target, shared by all runs of this pipeline in this process.

        Also by those of another object with the same policy: where a failure leaves the host's
        object unusable, each run may have one of its own.
        """
        return circuit_of((self.policy.pipeline, self.policy_id, target), breaker)

    def finished(self, record: RunRecord, *, resumed: bool = False) -> None:
        """Keep a record for `.runs`; a run that is continued after its end keeps one record."""
        with self._lock:
            if resumed:
                for kept in [r for r in self.runs if r.run_id == record.run_id]:
                    self.runs.remove(kept)
            self.runs.append(record)

    def publish(self, kind: Callable[[RunRecord], Any], make: Callable[[], RunRecord]) -> None:
        """Send a run's event to the listeners; the record is only made when there are any."""
        if self._listeners():
            self._put([kind(make())])

    def publish_steps(self, events: list[StepSettled]) -> None:
        """Send a step's events to the listeners that want them."""
        for delivery in self._listeners():
            if not delivery.run_events_only:
                delivery.put(events)

    def tracers(self) -> list[Any]:
        """The listeners that also follow a run where it happens."""
        self._listeners()
        return self._tracers

    def _put(self, events: list[Any]) -> None:
        for delivery in self._listeners():
            delivery.put(events)

    def _priced(self) -> Prices:
        own = self.policy.prices
        return Prices(own if own is not None else configured("prices"))

    def _listeners(self) -> list[Delivery]:
        """The deliveries of this pipeline; the default store opens with the first run."""
        if self._generation != generation():  # `configure` was called since
            self._generation, self._deliveries, self.prices = generation(), None, self._priced()
        found = self._deliveries
        if found is None and not self._recorded:
            found = self._deliveries = self._tracers = []
        if found is None:
            from ._stores import shared_store

            named = self.policy.store if self.policy.store is not None else configured("store")
            store = shared_store(named)
            listeners = [*self.policy.listeners, *configured("listeners")]
            if store is not None:
                listeners.append(store)
            listeners = _once(listeners)
            self._tracers = [x for x in listeners if hasattr(x, "trace")]
            found = self._deliveries = [delivery_of(x) for x in listeners]
        return found


def _once(listeners: Iterable[Any]) -> list[Any]:
    """The same listener given twice hears each event once, and so do two that are equal."""
    found: list[Any] = []
    for listener in listeners:
        if not any(known is listener or known == listener for known in found):
            found.append(listener)
    return found


def _pick(how: str | Callable[[Any], Any], value: Any) -> Any:
    if callable(how):
        return how(value)
    if isinstance(value, Mapping):
        return value.get(how)
    return getattr(value, how, None)


def _goal_context(run: Run) -> Handover:
    return Handover(
        run_id=run.run_id,
        step="",
        attempt=0,
        inputs=run.inputs,
        input=run.inputs,
        outputs=run.outputs,
        metadata=run.metadata,
    )

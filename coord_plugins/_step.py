"""`Step`: one piece of host work (all tries and candidates of one step in one visit)."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ._budget import Usage
from ._decide import Counters, Decision
from ._edge import ValidationEdge
from ._retry import Allowance, Circuit, Retry, allowance
from ._tally import StepSettled
from ._verdict import Handover
from .errors import CircuitOpenError

if TYPE_CHECKING:
    from ._run import Run

current: contextvars.ContextVar[Step | Callable[[], Step] | None] = contextvars.ContextVar(
    "coord_step", default=None
)
"""The step that is running, or what makes it when somebody asks for it."""


class EdgeState(NamedTuple):
    """What an edge remembers between two visits of its step."""

    rejects: int
    """Rejected candidates since the edge last passed."""
    feedback: str
    """The words of the latest rejection."""
    targets: tuple[str, ...]
    """The steps that get those words until the edge passes."""


class Step:
    """The step that is running now: what `current_step()` returns.

    Attributes:
        name: The step's name.
        attempt: Which judged candidate of the edge's present round this is, from 1.
        execution: Which execution of the step in this run, failed ones included, from 1.
        feedback: The validators' words that wait for this execution, or None.
    """

    __slots__ = (
        "allowance",
        "attempt",
        "began",
        "branch",
        "circuit",
        "counters",
        "ctx",
        "delivered",
        "edge",
        "entered",
        "entry",
        "events",
        "execution",
        "failed",
        "feedback",
        "input",
        "judging",
        "name",
        "produced",
        "retry",
        "run",
        "served_by",
        "settled",
        "state",
        "steps_left",
        "substitute",
        "usage",
        "validation",
    )

    def __init__(
        self,
        run: Run,
        name: str,
        edge: ValidationEdge | None,
        retry: Retry | None,
        input: Any,
        branch: str,
        steps_left: Callable[[str], bool],
    ) -> None:
        self.run = run
        self.name = name
        self.edge = edge
        self.retry = retry
        self.input = input
        self.branch = branch
        self.steps_left = steps_left
        self.entry = self.state = run.edges.get(name) if edge is not None else None
        rejects = self.state.rejects if self.state is not None else 0
        self.counters = Counters(rejects)
        self.attempt = rejects + 1
        self.feedback = run.feedback_for(name) if run.edges else None
        self.delivered: bool | None = None
        self.execution = 0
        self.produced = 0
        self.served_by: str | None = None
        self.substitute: Any = None
        self.events: list[StepSettled] = []
        self.usage: Usage | None = None
        self.validation: Usage | None = None
        self.judging = False
        self.settled: Decision | None = None
        self.failed: Exception | None = None
        self.ctx: Handover | None = None
        self.circuit: Circuit | None = None
        self.allowance: Allowance | None = None
        self.entered = self.began = run.clock.monotonic()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.run_id

    @property
    def idempotency_key(self) -> str:
        """Stable across retries of one execution and its resume; new for each new candidate.

        Give it to a system with side effects as its idempotency key.
        """
        tally = self.run.tallies.get(self.name)
        done = (tally.completed if tally is not None else 0) + self.produced
        branch = f"{self.branch}:" if self.branch else ""
        return f"{self.run.run_id}:{self.name}:{branch}{done + 1}"

    def deliver(self) -> str | None:
        """The waiting feedback, which counts as delivered from now on."""
        if self.feedback is not None:
            self.delivered = True
        return self.feedback

    def begin(self) -> None:
        """Start one execution: number it and read the clock."""
        run = self.run
        self.execution = next(run.executions(self.name))
        run.started += 1
        self.delivered = None if self.feedback is None else False
        self.usage = self.validation = None
        self.judging = False
        self.settled = self.failed = None
        retry = self.retry
        guarded = retry is not None and (retry.throttle is not None or retry.breaker is not None)
        if guarded and retry is not None and run.mode == "enforce":
            self._guard(retry)
        self.began = run.clock.monotonic()

    def _guard(self, retry: Retry) -> None:
        if retry.throttle is not None:
            self.allowance = allowance(retry.throttle)
            if self.counters.tries == 0:
                self.allowance.first(retry.throttle)
        if retry.breaker is not None:
            self.circuit = self.run.coord.circuit(self.served_by or self.name, retry.breaker)

    def check_circuit(self) -> None:
        """Refuse an execution whose target keeps failing.

        Raises:
            CircuitOpenError: The target's circuit is open.
        """
        if self.circuit is not None:
            seconds = self.circuit.refuses(self.run.clock.monotonic())
            if seconds is not None:
                raise CircuitOpenError(self.served_by or self.name, seconds)

    def may_retry(self) -> bool:
        """Whether the throttle allows one more retry."""
        return self.allowance is None or self.allowance.take()

    def handover(self) -> Handover:
        """What a validator with a parameter `ctx` receives for the present candidate."""
        run = self.run
        return Handover(
            run_id=run.run_id,
            step=self.name,
            attempt=self.attempt,
            inputs=run.inputs,
            input=self.input,
            outputs=run.outputs,
            metadata=run.metadata,
        )

    def spend(self, usage: Usage) -> None:
        """Count a model call under this step, as validation while its validators judge."""
        if self.judging:
            if self.validation is None:
                self.validation = Usage()
            self.validation.add(usage)
        else:
            if self.usage is None:
                self.usage = Usage()
            self.usage.add(usage)

    def stand_in(self, number: int) -> Any:
        """Make the n-th fallback serve the next executions; returns it."""
        assert self.retry is not None
        chosen = self.retry.fallbacks[number - 1]
        self.substitute = chosen
        self.served_by = chosen if isinstance(chosen, str) else _title(chosen)
        return chosen

    def commit(self) -> Mapping[str, Any]:
        """The host has taken this step's result: enter its executions into the record.

        Returns:
            What a host with checkpoints should keep for a resume: a mapping to be merged
            with `merge_durable` into what it kept before, and given to `Run.restore`.
        """
        return self.run.take(self)

    def abandon(self) -> None:
        """The host will run this step again from its first attempt (interrupt, cancellation).

        Nothing enters the record but the money that was spent.
        """
        self.run.write_off(self)


def _title(fallback: Any) -> str:
    for name in ("model_name", "model", "__name__"):
        said = getattr(fallback, name, None)
        if isinstance(said, str) and said:
            return said
    return type(fallback).__name__


def running_step() -> Step | None:
    """The step that is running now, or None."""
    found = current.get()
    return found if found is None or isinstance(found, Step) else found()


def current_step() -> Step:
    """The step that is running now.

    Raises:
        LookupError: No step of an attached pipeline or decorated function is running here.
    """
    step = running_step()
    if step is None:
        raise LookupError("no step is running here; call this inside an attached step")
    return step


def current_feedback() -> str | None:
    """The validators' words for the step that is running now; None when there are none.

    Works in any step on any host, and outside of one (None).
    """
    step = running_step()
    return step.deliver() if step is not None else None

"""A host made of plain functions in a row: no framework, checkpoints in memory.

It does what an adapter does and nothing more: it executes steps, calls `run_step`/`arun_step`,
goes where the decision says, and keeps what `commit` returns. Read it as an example of
`coord_plugins.host`.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import START, STOP, CoordWarning, ValidationEdge
from ..host import (
    Accept,
    Again,
    Coord,
    Decision,
    Escalate,
    Host,
    Run,
    Step,
    activate,
    arun_step,
    declares,
    make_policy,
    merge_durable,
    route_feedback,
    run_step,
)


class Pause(Exception):  # noqa: N818 - a signal, not an error
    """This host's control flow: the run stops here and can be resumed."""


PLAIN = Host(name="plain functions", control_flow=(Pause,))
Visits = Generator[tuple[Step, Any], Decision, None]


@dataclass
class Checkpoint:
    """What this host keeps between two host steps, as a database would."""

    durable: dict[str, Any] = field(default_factory=dict)
    """The core's part."""
    state: dict[str, Any] = field(default_factory=dict)
    """The accepted output per step, the run's input under "input"."""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each step last ran on."""
    at: str | None = None
    """The step that comes next; None: the pipeline is through."""
    steps: int = 0
    """Host steps so far."""


class Pipeline:
    """Functions in a row, with a policy attached.

    A step is called as `step(state)`, with `feedback=` where it declares that; `state` maps
    each earlier step to its accepted output, and "input" to the run's input.
    """

    def __init__(
        self,
        steps: Mapping[str, Callable[..., Any]],
        *edges: ValidationEdge,
        order: Sequence[str],
        host_steps: int | None = None,
        **settings: Any,
    ) -> None:
        """Make the pipeline.

        Args:
            steps: All steps, those that only stand in included.
            *edges: The validation edges.
            order: The steps that run one after the other.
            host_steps: Most steps that one run may take, like LangGraph's recursion limit.
            **settings: As for `attach`.
        """
        self.steps = dict(steps)
        self.order = tuple(order)
        self.host_steps = host_steps
        policy = make_policy(*edges, **settings)
        policy.check_steps(self.steps, PLAIN)
        findings = list(self._findings(edges))
        self.coord = Coord(policy, PLAIN, findings=findings, entries=self.order[:1])
        for finding in self.coord.findings:
            warnings.warn(finding, CoordWarning, stacklevel=2)
        stands_in = {e.otherwise: e.step for e in edges if e.otherwise not in (None, STOP)}
        self._replaces = {str(name): step for name, step in stands_in.items()}

    def _findings(self, edges: Sequence[ValidationEdge]) -> Generator[str, None, None]:
        for edge in edges:
            for name in dict.fromkeys((edge.step, *edge.back_to)):
                step = self.order[0] if name == START else name
                fn = self.steps[step]
                code = getattr(fn, "__code__", None)
                reads = code is not None and "current_feedback" in code.co_names
                routed = step == edge.step and edge.feedback_to is not None
                if not (declares(fn, "feedback") or routed or reads):
                    yield f"edge {edge.step!r}: feedback has no route to {step!r}"

    # ------------------------------------------------------------------ running

    def run(self, input: Any = None, *, kept: Checkpoint | None = None) -> tuple[Any, Checkpoint]:
        """Run or, with a checkpoint, resume; returns the last step's output and the checkpoint."""
        kept, fresh = (kept, False) if kept is not None else (self._begin(input), True)
        run = self.coord.start(kept.state["input"], is_async=False)
        if run is None:
            return self._bare(kept), kept
        visits = self._visits(run, kept, fresh)
        try:
            with activate(run):
                step, execute = next(visits)
                while True:
                    step, execute = visits.send(run_step(step, execute))
        except StopIteration:
            output = kept.state.get(self.order[-1])
            self.coord.finish(run, output)
            return output, kept
        except Pause:
            run.pause()
            raise
        except BaseException as error:
            self.coord.finish(run, None, error)
            raise

    async def arun(
        self, input: Any = None, *, kept: Checkpoint | None = None
    ) -> tuple[Any, Checkpoint]:
        """The async form of `run`; the steps are async functions."""
        kept, fresh = (kept, False) if kept is not None else (self._begin(input), True)
        run = self.coord.start(kept.state["input"], is_async=True)
        if run is None:
            for name in self.order:
                kept.state[name] = await self.steps[name](kept.state)
            return kept.state[self.order[-1]], kept
        visits = self._visits(run, kept, fresh)
        try:
            with activate(run):
                step, execute = next(visits)
                while True:
                    step, execute = visits.send(await arun_step(step, execute))
        except StopIteration:
            output = kept.state.get(self.order[-1])
            await self.coord.afinish(run, output)
            return output, kept
        except Pause:
            run.pause()
            raise
        except BaseException as error:
            await self.coord.afinish(run, None, error)
            raise

    def _begin(self, input: Any) -> Checkpoint:
        return Checkpoint(state={"input": input}, at=self.order[0])

    def _bare(self, kept: Checkpoint) -> Any:
        for name in self.order:
            kept.state[name] = self.steps[name](kept.state)
        return kept.state[self.order[-1]]

    # ------------------------------------------------------------------ the pipeline

    def _visits(self, run: Run, kept: Checkpoint, fresh: bool) -> Visits:
        run.resumable = True
        if not fresh:
            run.restore(kept.durable)
        again = False
        while kept.at is not None:
            name = kept.at
            if self.host_steps is not None and kept.steps >= self.host_steps:
                raise RecursionError(f"{self.host_steps} host steps are used up")
            kept.steps += 1
            # after a loop-back the target works on what it had when it last ran
            given = kept.inputs.get(name) if again else None
            given = kept.inputs[name] = given if given is not None else dict(kept.state)
            step = run.enter(name, input=given, reachable=self._reachable(name, kept))
            decision = yield step, self._executor(name, given)
            error = self._go_on(run, kept, name, decision)
            again = isinstance(decision, Again)
            identity = {"run": {**run.identity(), "elapsed": run.elapsed}}
            kept.durable = merge_durable(kept.durable, {**identity, **step.commit()})
            if error is not None:
                raise error

    def _go_on(
        self, run: Run, kept: Checkpoint, name: str, decision: Decision
    ) -> BaseException | None:
        """Turn a decision into this host's mechanism: which step comes next."""
        if isinstance(decision, Accept):
            place = self._replaces.get(name, name)
            run.outputs[name] = kept.state[place] = decision.value
            kept.durable = merge_durable(kept.durable, {f"o:{name}": decision.value})
            kept.at = self._after(place)
        elif isinstance(decision, Again):
            kept.at = self.order[0] if decision.target == START else decision.target
        elif isinstance(decision, Escalate) and decision.otherwise is not None:
            kept.at = None if decision.otherwise == STOP else decision.otherwise
        else:
            return decision.error  # type: ignore[union-attr]  # Fail, or Escalate without otherwise
        return None

    def _after(self, name: str) -> str | None:
        if name not in self.order:
            return None
        following = self.order[self.order.index(name) + 1 :]
        return following[0] if following else None

    def _reachable(self, name: str, kept: Checkpoint) -> Callable[[str], bool]:
        def reachable(target: str) -> bool:
            if self.host_steps is None or name not in self.order:
                return True
            start = 0 if target == START else self.order.index(target)
            return self.host_steps - kept.steps >= len(self.order) - start

        return reachable

    def _executor(self, name: str, given: dict[str, Any]) -> Callable[[Step], Any | Awaitable[Any]]:
        def execute(step: Step) -> Any:
            serve = step.substitute
            fn = self.steps[serve or name] if serve is None or isinstance(serve, str) else serve
            if step.feedback is None:
                return fn(given)
            if declares(fn, "feedback"):
                return fn(given, feedback=step.deliver())
            return fn(route_feedback(step, given))

        return execute

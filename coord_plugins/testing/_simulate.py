"""`simulate`: try a policy on scripted steps, without a host, a model or a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import STOP, Budget, RunRecord, ValidationEdge, collect_runs, use_clock
from ._clock import FakeClock
from ._plain import Pipeline
from ._script import Script


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What a policy made of scripted steps."""

    record: RunRecord | None
    """The run's record; None under mode "off"."""
    output: Any
    """The last step's accepted output; None when the run ended without one."""
    error: BaseException | None
    """What the run raised."""
    executions: dict[str, int]
    """Calls per step, failed ones included."""
    feedback: dict[str, list[str | None]]
    """Per step, the validators' words that each call received."""
    sleeps: list[float]
    """Every wait, in seconds."""

    @property
    def outcome(self) -> str:
        """The run's outcome, one of `OUTCOMES`; "" under mode "off"."""
        return self.record.outcome if self.record is not None else ""


def simulate(
    edges: ValidationEdge | Iterable[ValidationEdge] = (),
    steps: Mapping[str, Any] | None = None,
    *,
    goal: Any = None,
    retry: Any = None,
    budget: Budget | None = None,
    order: Sequence[str] | None = None,
    mode: Any = None,
    label: Any = None,
    inputs: Any = None,
    clock: FakeClock | None = None,
    is_async: bool = False,
    **settings: Any,
) -> Simulation:
    """Run a policy once over scripted steps in a row.

    Args:
        edges: One validation edge or several.
        steps: Per step its script: what each call returns, raises, or an `Act`; the last entry
            repeats. A value that is no list stands for a list of one.
        goal: As for `attach`.
        retry: As for `attach`.
        budget: As for `attach`.
        order: The steps that run one after the other; default all of `steps` but those that
            only stand in (an `otherwise` or a fallback).
        mode: As for `attach`.
        label: As for `attach`.
        inputs: The run's input.
        clock: Default a new `FakeClock`.
        is_async: Whether to take the async path.
        **settings: `task`, `listeners`, `tags`, `metadata`, `prices`, `store` as for `attach`
            (nothing is stored unless `store` is given).

    Returns:
        The record, the executions, the feedback and the output. An error of the run is
        returned, not raised; a policy that cannot hold raises `PolicyError`.
    """
    chain = (edges,) if isinstance(edges, ValidationEdge) else tuple(edges)
    scripts = {n: _script(n, s) for n, s in (steps or {}).items()}
    clock = clock if clock is not None else FakeClock()
    settings.setdefault("store", "off")
    settings.setdefault("pipeline", "simulation")
    pipeline = Pipeline(
        {n: s.asynchronous() if is_async else s for n, s in scripts.items()},
        *chain,
        order=order or [n for n in scripts if n not in _stand_ins(chain, retry, budget)],
        goal=goal,
        retry=retry,
        budget=budget,
        mode=mode,
        label=label,
        **settings,
    )
    output, error = None, None
    with use_clock(clock), collect_runs() as runs:
        try:
            if is_async:
                output, _ = asyncio.run(pipeline.arun(inputs))
            else:
                output, _ = pipeline.run(inputs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:  # noqa: BLE001 - handed to the caller in the result
            error = raised
    return Simulation(
        record=runs[-1] if runs else None,
        output=output,
        error=error,
        executions={n: s.count for n, s in scripts.items()},
        feedback={n: s.feedback for n, s in scripts.items()},
        sleeps=clock.sleeps,
    )


def _script(name: str, said: Any) -> Script:
    if isinstance(said, Script):
        return said
    return Script(said if isinstance(said, list) else [said], name)


def _stand_ins(edges: Sequence[ValidationEdge], retry: Any, budget: Budget | None) -> set[str]:
    """Steps that the policy names only as somebody's replacement."""
    found = {e.otherwise for e in edges if e.otherwise not in (None, STOP)}
    retries = retry.values() if isinstance(retry, Mapping) else [retry]
    for one in retries:
        found |= {f for f in getattr(one, "fallbacks", ()) if isinstance(f, str)}
    if budget is not None and budget.otherwise not in (None, STOP):
        found.add(budget.otherwise)
    named = {e.step for e in edges} | {t for e in edges for t in e.back_to}
    return {str(n) for n in found} - named

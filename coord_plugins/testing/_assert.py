"""`assert_outcome` and `assert_identities`: assertions that force numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import OUTCOMES, RunRecord
from ._simulate import Simulation

_UNSET: Any = object()


def assert_outcome(
    record: RunRecord | Simulation | None,
    outcome: str,
    *,
    executions: Mapping[str, int],
    attempts: Mapping[str, int] | int | None = None,
    feedback: Mapping[str, Any] | None = None,
    lost_at: str | None = _UNSET,
) -> None:
    """Assert how a run ended and what it took; the message shows every difference at once.

    Args:
        record: A run's record, or what `simulate` returned.
        outcome: One of `OUTCOMES`, or a class such as "success".
        executions: Calls per step, failed ones included: every step that ran.
        attempts: Judged candidates per step that has an edge, or their number where only one
            step has an edge; None: not compared.
        feedback: Per step how many calls feedback reached, or (with a simulation) the list of
            words that each call received.
        lost_at: The step that lost the run; not compared unless it is given.

    Raises:
        AssertionError: Something differs.
        ValueError: `outcome` is no outcome.
    """
    if not any(o == outcome or o.startswith(outcome + ".") for o in OUTCOMES):
        raise ValueError(f"{outcome!r} is no outcome; they are {', '.join(OUTCOMES)}")
    simulation = record if isinstance(record, Simulation) else None
    found = record.record if isinstance(record, Simulation) else record
    if found is None:
        raise AssertionError(f"there is no record (mode off?), expected {outcome}")
    differ: list[str] = []

    def compare(what: str, expected: Any, got: Any) -> None:
        if expected != got:
            differ.append(f"  {what}: expected {expected!r}, got {got!r}")

    exact = outcome in OUTCOMES
    compare("outcome", outcome, found.outcome if exact else found.outcome.partition(".")[0])
    ran = {n: t.executions for n, t in found.steps.items() if t.executions}
    compare("executions", dict(executions), ran)
    if attempts is not None:
        judged = {n: t.calls for n, t in found.steps.items() if t.calls}
        compare("attempts", attempts, sum(judged.values()) if isinstance(attempts, int) else judged)
    for step, expected in (feedback or {}).items():
        if isinstance(expected, int):
            tally = found.steps.get(step)
            compare(f"feedback to {step}", expected, tally.delivered if tally else 0)
        else:
            words = simulation.feedback.get(step) if simulation is not None else None
            compare(f"feedback to {step}", list(expected), words)
    if lost_at is not _UNSET:
        compare("lost_at", lost_at, found.lost_at)
    if differ:
        raise AssertionError("\n".join(["the run went differently:", *differ, *_story(found)]))


def _story(record: RunRecord) -> list[str]:
    """What happened, for the reader of a failed assertion."""
    lines = [f"the run ended as {record.outcome}" + (f": {record.error}" if record.error else "")]
    lines += [f"  {n.step} #{n.execution} {n.kind}: {n.text}" for n in record.notes]
    return lines


def assert_identities(record: RunRecord) -> None:
    """Assert that a record's numbers add up, in integers, step by step.

    calls = passes + rejects + validator_errors, rejects = loops + exhausted,
    cost = first + retry + validation + fallback, and exactly one outcome.
    """
    assert record.outcome in OUTCOMES
    for name, t in record.steps.items():
        assert t.calls == t.passes + t.rejects + t.validator_errors, name
        assert t.rejects == t.loops + t.exhausted, name
        assert t.executions >= t.completed, name
        parts = t.cost_first + t.cost_retry + t.cost_validation + t.cost_fallback
        assert abs(t.cost - parts) < 1e-12, name
        for validator, counts in t.validators.items():
            assert counts[0] == sum(counts[1:4]), (name, validator)
    assert abs(record.cost - sum(t.cost for t in record.steps.values())) < 1e-12

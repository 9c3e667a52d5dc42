"""What `.coord.explain()` says of a policy, before anything is paid."""

from __future__ import annotations

from collections.abc import Iterable

from ._config import current_mode
from ._edge import START
from ._policy import Host, Policy


def explained(policy: Policy, host: Host, findings: Iterable[str]) -> Iterable[str]:
    """The policy in words, line by line."""
    yield f"pipeline {policy.pipeline!r} on {host.name}, policy {policy.policy_id}"
    for edge in policy.edges.values():
        retry = policy.retry_of(edge.step)
        tries = retry.max_attempts * (1 + len(retry.fallbacks)) if retry else 1
        names = ", ".join(f"{v.name} ({v.kind})" for v in edge.validators)
        ladder = " -> ".join("START" if t == START else t for t in edge.back_to)
        after = edge.otherwise or "AttemptsExhaustedError (it also ends a batch)"
        yield f"  {edge.step}: {names}"
        yield f"    rejected: back to {ladder}; {edge.max_attempts} attempts; then {after}"
        yield f"    worst case: {edge.max_attempts} x {tries} = {edge.max_attempts * tries} calls"
    for step, retry in policy.retry.items():
        said = "never repeated" if retry is None else f"up to {retry.max_attempts} tries"
        yield f"  retry {step}: {said}"
    if policy.budget is not None:
        yield f"  {policy.budget}"
    if policy.goal is not None:
        yield f"  goal: {policy.goal.name} ({policy.goal.kind})"
    elif policy.goal_later:
        yield "  goal: labels come later, by record_outcome"
    else:
        yield "  no goal: runs stay unlabelled"
    mode = current_mode(policy.mode)
    if mode != "enforce":
        yield f"  mode now: {mode}"
    for finding in findings:
        yield f"  note: {finding}"

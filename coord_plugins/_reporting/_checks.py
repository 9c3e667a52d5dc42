"""What must hold in every report, and what its reader must be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ..errors import CoordError
from ._types import Group


def families(outcomes: Mapping[str, int]) -> Counter[str]:
    """Counts of outcomes without their sub-classes."""
    found: Counter[str] = Counter()
    for name, n in outcomes.items():
        found[name.partition(".")[0]] += n
    return found


def check_identities(group: Group) -> None:
    """Check in integers that a group's numbers add up.

    Raises:
        CoordError: They do not; the message names the identity, which is an error of the
            library or of the data, never of the reader.
    """
    family = families(group.outcomes)
    labelled = ("success", "silent_failure", "escalated", "error")
    finished = sum(family[name] for name in (*labelled, "unlabelled"))
    lost = sum(family[name] for name in labelled[1:])
    claims = {
        "started = finished + in_flight": group.started == group.finished + group.in_flight,
        "finished = success + silent_failure + escalated + error + unlabelled": (
            group.finished == finished and group.in_flight == family["in_flight"]
        ),
        "lost_at adds up to the runs without success": sum(group.lost_at.values()) == lost,
        "policies add up to started": sum(group.policy_ids.values()) == group.started,
        "success = first_pass + recovered": group.success
        == family["success"]
        == group.outcomes["success.first_pass"] + sum(group.recovered.values()),
    }
    gap = group.gap
    if gap is not None:
        right = gap.first_tries.successes - gap.lost_anyway
        claims["success = first tries right - lost anyway + won anyway"] = (
            group.success == right + gap.won_anyway
        )
    for edge in group.edges:
        judged = edge.passes + edge.rejects + edge.validator_errors
        at = f"edge {edge.step!r}: "
        claims[at + "calls = passes + rejects + validator_errors"] = edge.calls == judged
        claims[at + "rejects = loops + exhausted"] = edge.rejects == edge.loops + edge.exhausted
    for claim, holds in claims.items():
        if not holds:
            raise CoordError(f"the numbers of pipeline {group.pipeline!r} do not add up: {claim}")


def warnings_of(group: Group) -> Iterator[str]:
    """What a reader must know before quoting the numbers."""
    if len(group.policy_ids) > 1:
        named = ", ".join(f"{i or '(none)'}: {n:,} runs" for i, n in group.policy_ids.items())
        yield f"{len(group.policy_ids)} policies are pooled ({named}); split them by policy_id"
    if len(group.goal_ids) > 1:
        named = ", ".join(f"{i or '(unknown)'}: {n:,} runs" for i, n in group.goal_ids.items())
        yield f"several goals are pooled ({named}): they measure different things"
    if len(group.modes) > 1:
        named = ", ".join(f"{mode}: {n:,} runs" for mode, n in group.modes.items())
        yield f"several modes are pooled ({named}); split them by mode"
    unlabelled = group.outcomes["unlabelled"]
    if unlabelled:
        yield (
            f"{unlabelled:,} of {group.finished:,} finished runs have no label; "
            "rates are those of the others"
        )
    left_out = group.success_rate.n - group.completed_only.n
    if left_out and group.completed_only.value is not None:
        yield (
            f"of completed runs alone {100 * group.completed_only.value:.1f} % succeed: that "
            f"leaves {left_out:,} escalated and failed runs out"
        )
    if group.self_reported:
        rate = group.success_rate_without_self_reported
        without = "nothing" if rate.value is None else f"{100 * rate.value:.1f} % (n={rate.n:,})"
        yield (
            f"{sum(group.self_reported.values()):,} labels are self-reported; "
            f"without them the success rate is {without}"
        )
    yield from _measurement_warnings(group)


def _measurement_warnings(group: Group) -> Iterator[str]:
    if group.cost.lower_bound:
        yield f"costs are lower bounds: {group.cost.unknown_calls:,} model calls have no price"
    if group.unknown_tokens:
        yield f"tokens are lower bounds: {group.unknown_tokens:,} model calls did not say"
    for step in group.steps:
        if step.feedback_undelivered:
            yield (
                f"step {step.step!r}: feedback did not arrive in "
                f"{step.feedback_undelivered:,} executions"
            )
    for edge in group.edges:
        if edge.validator_errors:
            yield f"step {edge.step!r}: a validator failed on {edge.validator_errors:,} candidates"

"""What a gate says of its verdict, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._gate import GateVerdict
from ._trials import UNKNOWN, Trials


def share(value: float) -> str:
    """A share in percent, with as many digits as say something."""
    return f"{100 * value:.4g} %"


def points(value: float) -> str:
    """A share in percent without its sign; near 0 and 1 with the digits that tell it from them."""
    if value in (0, 1):
        return f"{100 * value:.0f}"
    digits = 1
    while digits < 9 and round(100 * value, digits) in (0, 100):
        digits += 1
    return f"{100 * value:.{digits}f}"


def reason_of(verdict: GateVerdict, crossed_at: int | None, facts: Mapping[str, Any]) -> str:
    """The verdict in one sentence.

    Args:
        verdict: The verdict.
        crossed_at: The trial at which the gate's first crossing lay, if there was one.
        facts: The fields of the `GateResult`.
    """
    n, unit = facts["trials"], facts["unit"]
    if not n:
        return "no runs match: record some, or widen the filters"
    known = facts["successes"] + facts["failures"]
    counted = f"{facts['successes']:,} of {known:,} {unit}s did their job"
    if facts["suite"] is not None:
        return f"{counted}: {_of_suite(verdict, facts)}"
    if verdict == "accept":
        return f"{counted}: {unit} {crossed_at:,} showed more than {share(facts['min_success'])}"
    if verdict == "reject":
        return (
            f"{counted}: after {unit} {crossed_at:,} the expected {share(facts['expected'])} is "
            "implausible"
        )
    missing = sum(facts[name] for name in UNKNOWN) if facts["missing"] == "either" else 0
    if crossed_at is not None:
        shown = f"{unit} {crossed_at:,} had shown more than {share(facts['min_success'])}"
        if facts["successes"] >= facts["min_success"] * known:
            return f"{counted}: {shown}, but {missing:,} without a result may take it below"
        return (
            f"{counted}: {shown}, but the rate has fallen below it since; choose the newer runs "
            "with --since"
        )
    if missing:
        return f"{counted}, {missing:,} more may go either way: too few are known"
    if facts["max_trials"] is not None and n >= facts["max_trials"]:
        return f"{counted}: undecided after the {facts['max_trials']:,} that count"
    return f"{counted}: too few to tell"


def _of_suite(verdict: GateVerdict, facts: Mapping[str, Any]) -> str:
    size: int = facts["suite"]
    asked = share(facts["min_success"])
    if facts["successes"] + facts["failures"] == size:
        return f"that is all of the suite, {asked} was asked for"
    low, high = (round(end * size) for end in facts["interval"])
    said = {
        "accept": f"{asked} is reached",
        "reject": f"{asked} is out of reach",
        "inconclusive": f"{asked} may be reached or not",
    }
    return f"of the suite's {size:,} between {low:,} and {high:,} do, {said[verdict]}"


def warnings_of(verdict: GateVerdict, facts: Mapping[str, Any], trials: Trials) -> tuple[str, ...]:
    """What a reader should know before believing it."""
    return (*_missing(facts), *_pooled(trials), *_dependent(verdict, facts, trials))


def _missing(facts: Mapping[str, Any]) -> list[str]:
    names = {
        "unlabelled": "have no label",
        "in_flight": "have not finished",
        "self_reported": "have only their agent's own word",
    }
    said = [f"{facts[name]:,} {words}" for name, words in names.items() if facts[name]]
    found = []
    if said:
        ends = {
            "either": "a verdict must hold whichever way they turn out; label them with `coord "
            "outcome`, or leave out the young ones with --settle",
            "failure": "they were counted as failures",
            "ignore": "they were left out, which flatters if runs without a result are the worse "
            "ones",
        }
        found.append(f"{', '.join(said)}: {ends[facts['missing']]}")
    cancelled = facts["cancelled"]
    if cancelled:
        ignored = sum(facts[name] for name in UNKNOWN) if facts["missing"] == "ignore" else 0
        left_out = facts["left_out"] > ignored
        end = "were left out" if left_out else "count as failures; see --without-cancelled"
        found.append(f"{cancelled:,} were cancelled and {end}")
    return found


def _pooled(trials: Trials) -> list[str]:
    kinds = list(trials.kinds)
    policies = sorted({kind.policy_id for kind in kinds})
    modes = sorted({kind.mode for kind in kinds})
    found = []
    if len(policies) > 1:
        found.append(
            f"the runs are of {len(policies)} policies, pooled; choose one with --where "
            "policy_id=..."
        )
    if len(modes) > 1:
        found.append(f"the modes {', '.join(modes)} are pooled; choose one with --where mode=...")
    goals = {kind.goal_id for kind in kinds}
    if len(goals) > 1:  # of several that are known nothing is decided at all
        unknown = sum(n for kind, n in trials.kinds.items() if kind.goal_id is None)
        found.append(f"{unknown:,} runs do not say which goal judged them")
    return found


def _dependent(verdict: GateVerdict, facts: Mapping[str, Any], trials: Trials) -> list[str]:
    found = []
    if trials.repeated and not trials.by_task:
        found.append(
            f"{trials.repeated:,} runs repeat a task: trials of one task are not independent, and "
            "the evidence is overstated; --unit task counts each task once"
        )
    suite = facts["suite"]
    if suite is not None and verdict != "inconclusive" and 0 < len(trials) < suite:
        found.append("before a suite's end the verdict takes its order as random")
    if verdict != "reject" or suite is not None:
        return found
    if facts["evidence"] >= facts["evidence_to_accept"]:
        found.append(
            "all runs together show more than was asked for: the rate has risen; choose the newer "
            "runs with --since"
        )
    elif facts["success_rate"] > facts["min_success"]:
        found.append(
            f"{share(facts['success_rate'])} is more than was asked for, though not by enough to "
            "show it soon; with a lower --expected the gate waits longer before it rejects"
        )
    return found

"""Tallies: identities on random event logs, and merging is folding."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import Judgement, StepSettled, StepTally, Usage

labels = st.sampled_from([True, False, None])
usages = st.none() | st.builds(
    Usage,
    input_tokens=st.integers(0, 9),
    output_tokens=st.integers(0, 9),
    cost_usd=st.integers(0, 64).map(lambda n: n / 64),  # exact in binary, so sums are exact
    calls=st.just(1),
    unknown_tokens=st.integers(0, 1),
    unknown_cost=st.integers(0, 1),
)


@st.composite
def settled(draw: Any) -> StepSettled:
    """One execution as the loop would note it."""
    error = draw(st.sampled_from([None, None, "TimeoutError: x"]))
    judged = draw(st.sampled_from([None, "pass", "reject", "error"])) if error is None else None
    decision = {
        None: "accept" if error is None else draw(st.sampled_from(["retry", "fallback", "fail"])),
        "pass": "accept",
        "reject": draw(st.sampled_from(["loop", "exhausted"])),
        "error": draw(st.sampled_from(["escalate", "fail"])),
    }[judged]
    passed = {"pass": True, "reject": False, "error": None}.get(str(judged))
    said = (Judgement("v", "code", passed),) if judged else ()
    return StepSettled(
        "r",
        "p",
        "s",
        1,
        1,
        0.0,
        draw(st.integers(0, 8)) / 8,
        decision,
        error=error,
        judgements=said,
        judged=judged,
        label=draw(labels),
        given_right=draw(st.booleans()),
        bucket=draw(st.sampled_from(["first", "retry", "fallback"])),
        usage=draw(usages),
        validation=draw(usages),
        delivered=draw(st.sampled_from([None, True, False])),
    )


def fold(events: list[StepSettled]) -> StepTally:
    tally = StepTally()
    for event in events:
        tally.add(event)
    return tally


@given(st.lists(settled(), max_size=20))
def test_identities(events: list[StepSettled]) -> None:
    t = fold(events)
    assert t.executions == len(events)
    assert t.calls == t.passes + t.rejects + t.validator_errors
    assert t.rejects == t.loops + t.exhausted
    assert t.executions == t.completed + t.errors
    assert t.delivered + t.undelivered == sum(e.delivered is not None for e in events)
    counts = t.validators.get("v", [0] * 8)
    assert counts[0] == t.calls == counts[1] + counts[2] + counts[3]
    paid = [u for e in events for u in (e.usage, e.validation) if u is not None]
    assert t.cost == sum(u.cost_usd for u in paid)
    assert t.cost == t.cost_first + t.cost_retry + t.cost_validation + t.cost_fallback
    assert t.input_tokens + t.output_tokens == sum(u.input_tokens + u.output_tokens for u in paid)
    assert t.unknown_cost == sum(u.unknown_cost for u in paid)
    labelled = [e for e in events if e.judged in ("pass", "reject") and e.label is not None]
    by_truth = t.pass_right + t.pass_own + t.pass_upstream + t.reject_right + t.reject_own
    assert by_truth + t.reject_upstream == len(labelled) == sum(counts[4:])


@given(st.lists(settled(), max_size=12), st.integers(0, 12))
def test_merging_parts_is_folding_all(events: list[StepSettled], cut: int) -> None:
    """Wherever a run pauses, the parts add up to the whole."""
    whole, first, second = fold(events), fold(events[:cut]), fold(events[cut:])
    first.merge(second)
    assert first == whole


@given(st.lists(settled(), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_merging_is_associative(events: list[StepSettled], one: int, two: int) -> None:
    a, b = sorted((one, two))
    parts = [events[:a], events[a:b], events[b:]]
    left, middle, right = (fold(p) for p in parts)
    left.merge(middle)
    left.merge(right)
    first, tail, last = (fold(p) for p in parts)
    tail.merge(last)
    first.merge(tail)
    assert left == first


@given(st.lists(settled(), max_size=12))
def test_a_tally_survives_its_own_json(events: list[StepSettled]) -> None:
    tally = fold(events)
    assert StepTally.from_dict(json.loads(json.dumps(tally.to_dict()))) == tally


def test_an_empty_tally_is_an_empty_dict() -> None:
    assert StepTally().to_dict() == {}
    assert StepTally.from_dict({"a newer field": 1}) == StepTally()


def test_unreadable_output_is_a_reject_and_no_error() -> None:
    event = StepSettled(
        "r", "p", "s", 1, 1, 0.0, 0.0, "loop", error="JSONDecodeError: x", judged="reject"
    )
    t = fold([event])
    assert (t.executions, t.completed, t.errors, t.rejects, t.calls) == (1, 0, 0, 1, 1)

"""Random logs of events: runs that loop, crash, time out, are cancelled, pause, or are labelled.

What a log says is drawn from a `random.Random`, so the same seed gives the same log; nothing in it
is made to add up. The report has to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from coord_plugins._budget import Usage
from coord_plugins._events import Event, OutcomeRecorded, RunFinished, RunPaused, RunStarted
from coord_plugins._outcome import OUTCOMES, ending, lost_at
from coord_plugins._record import RunRecord
from coord_plugins._reporting._report import report
from coord_plugins._reporting._types import Group, Report
from coord_plugins._store import Store
from coord_plugins._tally import Judgement, StepSettled, StepTally
from coord_plugins.errors import BudgetExceededError

STEPS = ("read", "draft", "review", "send")
_BUDGET = BudgetExceededError.__new__(BudgetExceededError)
ERRORS: tuple[BaseException | None, ...] = (
    None,
    None,
    None,
    ValueError("x"),
    TimeoutError("late"),
    RecursionError("deep"),
    KeyboardInterrupt(),
    _BUDGET,
)


def execution(rng: random.Random) -> StepSettled:
    """One execution, as `settle` may record it."""
    judged = rng.choice((None, "pass", "pass", "reject", "error"))
    error, would = None, False
    if judged is None:
        error = rng.choice((None, None, "ValueError: x"))
        decisions: tuple[Any, ...] = ("retry", "fallback", "fail") if error else ("accept",)
    elif judged == "pass":
        decisions, would = ("accept",), rng.random() < 0.2
    else:
        decisions = ("loop", "loop", "exhausted") if judged == "reject" else ("escalate", "fail")
    said = {"pass": not would, "reject": False, "error": None}
    kind: Any = rng.choice(("code", "llm", "human"))
    names = ("shape", "cites")[: rng.randrange(1, 3)]
    judgements = () if judged is None else tuple(Judgement(n, kind, said[judged]) for n in names)
    return StepSettled(
        run_id="r",
        pipeline="p",
        step=rng.choice(STEPS),
        execution=1,
        attempt=rng.randrange(1, 4),
        started_at=0.0,
        duration=rng.random(),
        decision=rng.choice(decisions),
        error=error,
        judgements=judgements,
        judged=judged,
        would_reject=would,
        delivered=rng.choice((None, True, False)),
        label=None if error else rng.choice((None, True, True, False)),
        given_right=rng.random() < 0.8,
        bucket=rng.choice(("first", "retry", "fallback")),
        repeats=rng.random() < 0.2,
        usage=rng.choice((None, _usage(rng))),
        validation=rng.choice((None, _usage(rng))),
    )


def _usage(rng: random.Random) -> Usage:
    return Usage(
        calls=1,
        input_tokens=rng.randrange(100),
        output_tokens=rng.randrange(100),
        cost_usd=rng.choice((0.0, 0.25, 1.5)),
        unknown_cost=rng.randrange(2),
    )


def run_log(rng: random.Random, run_id: str) -> list[Event]:
    """All events of one run, in the order in which they happened."""
    steps: dict[str, StepTally] = {}
    for _ in range(rng.randrange(7)):
        event = execution(rng)
        steps.setdefault(event.step, StepTally()).add(event)
    record = RunRecord(
        run_id=run_id,
        pipeline=rng.choice(("support", "sales")),
        policy_id=rng.choice(("p1", "p2")),
        goal_id=rng.choice((None, "goal:1")),
        mode=rng.choice(("enforce", "enforce", "observe")),
        task=rng.choice((None, *(f"t{i}" for i in range(9)))),
        parent_id=rng.choice((None, None, None, "parent")),
        metadata={"tenant": rng.choice(("a", "b"))} if rng.random() < 0.7 else {},
        started_at=float(rng.randrange(1_000)),
        elapsed=rng.choice((0.0, 1.5)),
    )
    log: list[Event] = [RunStarted(record)]
    if rng.random() < 0.1:  # the process was killed: nothing more was heard of it
        return log
    if rng.random() < 0.2:
        record = replace(record, status="paused", elapsed=record.elapsed + 1.0, steps=dict(steps))
        log.append(RunPaused(record))
        if rng.random() < 0.3:
            return log
    error = rng.choice(ERRORS)
    end, detail = ending(steps.values(), error)
    passed = rng.choice((None, True, True, False))
    failed = end != "delivered" or passed is False
    blamed = lost_at(steps, rng.choice((None, "draft")), passed) if failed else None
    log.append(
        RunFinished(
            replace(
                record,
                status="finished",
                finished_at=record.started_at + 5.0,
                elapsed=record.elapsed + 1.0,
                end=end,
                detail=detail,
                passed=passed,
                source=rng.choice(("measured", "measured", "self_reported")),
                lost_at=blamed,
                steps=steps,
            )
        )
    )
    return log


def labels(rng: random.Random, run_id: str) -> list[Event]:
    """Late labels of a run: they may contradict each other, or come before its end."""
    return [
        OutcomeRecorded(
            run_id, rng.choice((None, True, False)), float(rng.randrange(2_000)), source
        )
        for source in rng.choices(("late", "measured", "self_reported"), k=rng.randrange(3))
        if rng.random() < 0.4
    ]


def shuffled(rng: random.Random, runs: int, prefix: str = "r") -> Iterator[Event]:
    """The logs of several runs, mixed: each log keeps its order, its labels come at any time."""
    queues = []
    for number in range(runs):
        run_id = f"{prefix}{number}"
        queues.append(run_log(rng, run_id))
        late = labels(rng, run_id)
        if late:
            queues.append(late)
        if rng.random() < 0.1:  # some events come twice: a spool was replayed
            queues.append(list(queues[-1]))
    queues = [list(reversed(queue)) for queue in queues]
    while queues:
        at = rng.randrange(len(queues))
        yield queues[at].pop()
        if not queues[at]:
            queues[at] = queues[-1]
            queues.pop()


def check(found: Report, runs: int | None) -> None:
    """Assert the identities of a report, in integers.

    Args:
        found: The report.
        runs: How many runs it is about, those inside a run included; None: units are tasks.
    """
    if runs is not None:
        assert sum(g.started + g.nested for g in found.groups) == runs
    for group in found.groups:
        for one in (group, *group.parts):
            _check_group(one)
        if group.parts:
            assert sum(p.started for p in group.parts) == group.started
            assert sum(p.success for p in group.parts) == group.success


def _check_group(group: Group) -> None:
    family = {
        name: sum(n for k, n in group.outcomes.items() if k.partition(".")[0] == name)
        for name in ("success", "silent_failure", "escalated", "error", "unlabelled", "in_flight")
    }
    assert list(group.outcomes) == list(OUTCOMES)
    assert group.started == group.finished + group.in_flight == sum(family.values())
    assert group.in_flight == family["in_flight"]
    recovered = sum(group.recovered.values())
    assert group.success == family["success"]
    assert group.success == group.outcomes["success.first_pass"] + recovered
    assert sum(group.lost_at.values()) == group.finished - group.success - family["unlabelled"]
    assert group.success_rate.n == group.finished - family["unlabelled"]
    for edge in group.edges:
        assert edge.calls == edge.passes + edge.rejects + edge.validator_errors
        assert edge.rejects == edge.loops + edge.exhausted
    for v in group.validators:
        assert v.calls == v.passes + v.rejects + v.errors
    cost = group.cost
    parts = cost.first + cost.retry + cost.validation + cost.fallback
    assert abs(cost.total - parts) <= 1e-9 * max(1.0, parts)
    gap = group.gap
    if gap is not None:
        assert group.success == gap.first_tries.successes - gap.lost_anyway + gap.won_anyway
    if group.true_rate is not None:
        assert sum(s.runs for s in group.true_rate.strata) == group.finished
        assert all(0 <= s.passed <= s.labelled <= s.runs for s in group.true_rate.strata)
    if group.trials is not None:
        assert group.trials.runs == group.success_rate.n
        assert group.trials.always.successes <= group.trials.solved.successes
    for rate in (group.success_rate, group.coverage, group.silent_rate, group.error_rate):
        assert 0 <= rate.successes <= rate.n
        assert 0 <= rate.interval[0] <= rate.interval[1] <= 1


def check_logs(events: Iterable[Event], runs: int, batch: int = 5_000) -> Store:
    """Store events in batches, and check every kind of report over them.

    Returns:
        The store, in memory.
    """
    store = Store("sqlite://")
    waiting: list[Event] = []
    for event in events:
        waiting.append(event)
        if len(waiting) >= batch:
            store.on_events(waiting)
            waiting = []
    store.on_events(waiting)
    assert store.refused == 0
    by: tuple[str | None, ...] = (None, "policy_id", "tenant", "outcome")
    for key in by:
        check(report(store, by=key), runs)
    check(report(store, unit="task"), None)
    return store


def seeded(seed: int, runs: int) -> tuple[Callable[[], Iterator[Event]], int]:
    """Logs that can be read again, and their number."""
    return (lambda: shuffled(random.Random(seed), runs)), runs

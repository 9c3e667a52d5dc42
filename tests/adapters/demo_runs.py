"""Some runs of the demo's campaign on one framework, and all that happened in them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from coord_plugins import RunRecord, collect_runs, run_context, use_clock
from coord_plugins.demo import STEPS, Desk, planned_fault, working
from coord_plugins.demo import _campaign as campaign

RUNS, SEED = 960, 7
Key = tuple[str, int]
"""A ticket and its trial."""


def runs_of(framework: str, numbers: Iterable[int], *, bare: bool = False) -> dict[Key, RunRecord]:
    """Some runs of the demo's campaign on one framework, by ticket and trial."""
    desk, wiring = Desk(SEED), campaign.load_wiring(framework)
    policy = {"mode": "observe"} if bare else {"retry": desk.retry()}
    settings = {"goal": desk.goal(), "label": desk.label, "task": "ticket_id", "store": "memory"}
    prices = {"prices": campaign.PRICES}
    host = wiring.attach(
        wiring.build(desk, None), *desk.edges(), pipeline="desk", **policy, **settings, **prices
    )
    found: dict[Key, RunRecord] = {}
    try:
        with use_clock(campaign.DemoClock()):
            for number in numbers:
                ticket, trial = (
                    desk.tickets[number % len(desk.tickets)],
                    number // len(desk.tickets),
                )
                labels = run_context(metadata={"trial": trial})
                with collect_runs() as runs, working(ticket.id, trial), labels, suppress(Exception):
                    wiring.run(host, {"ticket_id": ticket.id, "ticket": ticket.text})
                [found[ticket.id, trial]] = runs
    finally:
        desk.conn.close()
    return found


def eventful(numbers: Iterable[int]) -> list[int]:
    """The runs in which some step's first call goes wrong, and each twentieth of the others."""
    desk = Desk(SEED)
    desk.conn.close()
    tickets = desk.tickets
    chosen = []
    for number in numbers:
        ticket, trial = tickets[number % len(tickets)].id, number // len(tickets)
        faults = [planned_fault(SEED, ticket, trial, step, 1) for step in STEPS]
        if any(faults) or number % 20 == 0:
            chosen.append(number)
    return chosen


def counts(record: RunRecord) -> Any:
    """All that happened in a run, in integers."""
    steps = {
        name: (t.executions, t.passes, t.loops, t.exhausted, t.retries, t.errors, t.delivered)
        for name, t in record.steps.items()
    }
    return record.outcome, record.lost_at, record.passed, steps

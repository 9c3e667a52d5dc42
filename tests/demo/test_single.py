"""The one call that does the whole job: what it is asked, and how it goes wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from coord_plugins import collect_runs, run_context
from coord_plugins.demo import (
    STEPS,
    Desk,
    SimulatedModel,
    goal,
    planned_fault,
    prompt_at_once,
    single_call,
    working,
)
from coord_plugins.demo._prediction import predicted_at_once
from coord_plugins.demo._simulated import ONE_CALL

RUNS, SEED = 480, 7


@pytest.fixture(scope="module")
def job() -> Any:
    made = Desk(SEED)
    yield made
    made.conn.close()


@pytest.fixture(scope="module")
def records(job: Desk) -> Any:
    """Two trials of each ticket."""
    host = single_call(job, store="memory", metadata={"variant": "single"})
    with collect_runs() as found:
        for number in range(RUNS):
            ticket, trial = job.tickets[number % 240], number // 240
            labels = run_context(metadata={"trial": trial})
            with working(ticket.id, trial), labels, suppress(Exception):
                host({"ticket_id": ticket.id, "ticket": ticket.text})
    return found


def test_the_prompt_has_what_answers_the_ticket(job: Desk) -> None:
    """Plain code finds every ticket's customer, and the line is among their invoices'."""
    for ticket in job.tickets:
        answer = job.answers[ticket.id]
        prompt = prompt_at_once(ticket.id, ticket.text, job.conn)
        assert json.dumps(ticket.text, ensure_ascii=False) in prompt
        assert answer.account in prompt
        assert answer.email in prompt
        assert answer.line_id in prompt
        assert f'"period": "{answer.period}"' in prompt


def test_an_account_that_is_not_in_the_ticket_is_not_guessed(job: Desk) -> None:
    prompt = prompt_at_once("T-0001", "no number, 2025-12", job.conn)
    assert '"customer": null' in prompt


def test_without_faults_every_ticket_is_answered(job: Desk) -> None:
    model = SimulatedModel(job.conn, fault_rate=0.0, answers=job.answers)
    for ticket in job.tickets:
        with working(ticket.id):
            reply = model.reply_at_once(prompt_at_once(ticket.id, ticket.text, job.conn))
        message = job.work("send", reply.text, {})
        assert goal(message, job.answers[ticket.id])[0]


def test_it_errs_where_the_six_steps_err(job: Desk, records: Any) -> None:
    """Run by run: the same content faults end the same; calls fail by a plan of their own."""
    for number, record in enumerate(records):
        ticket, trial = job.tickets[number % 240], number // 240
        slips = [planned_fault(SEED, ticket.id, trial, step, 1) for step in STEPS]
        lost = planned_fault(SEED, ticket.id, trial, ONE_CALL, 1)
        assert (record.task, record.metadata["trial"]) == (ticket.id, trial)
        if lost is not None:
            assert record.outcome in ("error.crash", "error.timeout")
        elif not any(slip is not None and slip.is_content for slip in slips):
            assert record.outcome == "success.first_pass"
        else:
            assert record.outcome.partition(".")[0] in ("success", "silent_failure")


def test_it_costs_one_call_at_the_same_prices(job: Desk, records: Any) -> None:
    good = [r for r in records if r.succeeded]
    for record in good[:20]:
        tally = record.steps["answer"]
        expected = (0.15 * tally.input_tokens + 0.60 * tally.output_tokens) / 1e6
        assert record.cost == pytest.approx(expected)
        assert tally.executions == 1
    assert {r.goal_id for r in records} == {records[0].goal_id}
    assert records[0].goal_id.startswith("explains_the_amount")


def test_the_prediction_adds_up(records: Any) -> None:
    found = predicted_at_once()
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-12)
    assert found["success"] == pytest.approx(0.985**7)


def test_a_call_has_no_content_faults_of_its_own() -> None:
    kinds = set()
    for number in range(2_000):
        fault = planned_fault(1, f"T-{number}", 0, ONE_CALL, 1, fault_rate=1.0)
        kinds.add(None if fault is None else fault.kind)
        assert fault is None or not fault.is_content
    assert kinds == {None, "rate_limit", "timeout", "malformed"}


def test_it_must_know_its_run(job: Desk) -> None:
    with pytest.raises(RuntimeError, match="which run"):
        job.model.reply_at_once(prompt_at_once("T-0001", job.tickets[0].text, job.conn))

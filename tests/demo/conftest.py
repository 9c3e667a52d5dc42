"""One database, its tickets and a plain runner for all tests of the demo's job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from coord_plugins.demo import (
    STEPS,
    Answer,
    Fault,
    RateLimited,
    SimulatedModel,
    Ticket,
    checks,
    finish,
    load_tickets,
    open_billing,
    prompt_for,
    working,
)

Verdict = tuple[bool, str]


@dataclass(kw_only=True)
class Desk:
    """The job with everything it needs, run step by step without any framework."""

    conn: sqlite3.Connection
    tickets: tuple[Ticket, ...]
    answers: dict[str, Answer]
    checks: dict[str, Callable[..., Verdict]]
    right: list[dict[str, Any]] = field(default_factory=list)
    """The final states of all tickets without a fault."""

    def model(self, **options: Any) -> SimulatedModel:
        return SimulatedModel(self.conn, answers=self.answers, **options)

    def faulty(self, fault: Fault, times: int = 1) -> SimulatedModel:
        """Return a model whose first executions of the fault's step go wrong, nothing else."""
        return self.model(
            plan=lambda seed, ticket_id, trial, step, n: (
                fault if step == fault.step and n <= times else None
            )
        )

    def start(self, ticket: Ticket) -> dict[str, Any]:
        return {"ticket_id": ticket.id, "ticket": ticket.text}

    def execute(
        self,
        model: SimulatedModel,
        step: str,
        state: Mapping[str, Any],
        feedback: str | None = None,
    ) -> dict[str, Any]:
        reply = model.reply(prompt_for(step, state, feedback), step)
        return finish(step, reply.text, state, self.conn)

    def run(
        self,
        model: SimulatedModel,
        ticket: Ticket,
        trial: int = 0,
        *,
        after: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], Exception | None]:
        """Do the bare job; return the final state and what ended it early.

        With ``after``, the artefacts in it are taken as done.
        """
        state = self.start(ticket) | dict(after or {})
        with working(ticket.id, trial):
            try:
                for step in STEPS[len(after or ()) :]:
                    state[step] = self.execute(model, step, state)
            except (ValueError, RateLimited, TimeoutError) as error:
                return state, error
        return state, None

    def check(self, step: str, state: Mapping[str, Any]) -> Verdict:
        """Judge a step's artefact, given the artefacts of the steps before it."""
        inputs = {name: state[name] for name in ("ticket_id", "ticket")}
        earlier = {name: state[name] for name in STEPS[: STEPS.index(step)]}
        return self.checks[step](state[step], inputs, earlier)


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    conn = open_billing()
    tickets, answers = load_tickets(conn)
    made = Desk(conn=conn, tickets=tickets, answers=answers, checks=checks(conn))
    model = made.model(fault_rate=0.0)
    made.right = [made.run(model, ticket)[0] for ticket in tickets]
    yield made
    conn.close()

"""The billing desk with its policy: what every host's wiring shares."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import START, STOP, Handover, InvalidOutputError, Retry, ValidationEdge, Validator, check
from .._context import current_run
from ._checks import checks
from ._database import open_billing
from ._job import STEPS, finish
from ._simulated import SimulatedModel
from ._tickets import Answer, Ticket, load_tickets
from ._truth import goal as goal_of
from ._truth import label as label_of

LADDERS: Mapping[str, tuple[str, ...]] = {
    "triage": ("triage", "triage"),
    "retrieve": ("retrieve", "triage"),
    "reconcile": ("reconcile", "retrieve", START),
    "draft": ("draft", "reconcile", START),
    "review": ("review", "draft", START),
    "send": ("send", "review", START),
}
"""Where a rejection of each step goes: in place first, then back to where the error may be."""
TRIES = 4
"""Calls of a step per candidate in the attached pipeline, the first included."""
PRICES = {"simulated": (0.15, 0.60)}
"""US dollars per million input and output tokens of the simulated model: a small model's."""


@dataclass(frozen=True)
class Desk:
    """The job's data, its model and its policy."""

    seed: int
    """Seed of the simulated model's faults."""
    conn: sqlite3.Connection = field(default_factory=open_billing)
    """The billing database."""
    tickets: tuple[Ticket, ...] = field(init=False)
    """All tickets, in order."""
    answers: Mapping[str, Answer] = field(init=False)
    """The true answers; only the goal and the labels see them."""
    model: SimulatedModel = field(init=False)
    """The simulated model."""

    def __post_init__(self) -> None:
        tickets, answers = load_tickets(self.conn)
        object.__setattr__(self, "tickets", tickets)
        object.__setattr__(self, "answers", answers)
        model = SimulatedModel(self.conn, seed=self.seed, answers=answers)
        object.__setattr__(self, "model", model)

    def work(self, step: str, reply: str, state: Mapping[str, Any]) -> dict[str, Any]:
        """Do a step's work with the model's reply.

        Raises:
            InvalidOutputError: The reply has not the form that the step asked for.
        """
        try:
            return finish(step, reply, state, self.conn)
        except ValueError as error:
            raise InvalidOutputError(f"{step}: {error}") from error

    def edges(self) -> list[ValidationEdge]:
        """One edge per step, each with its ladder."""
        judges = checks(self.conn)
        return [
            ValidationEdge(
                step, _validator(step, judges[step]), of=step, back_to=LADDERS[step], otherwise=STOP
            )
            for step in STEPS
        ]

    def retry(self) -> Retry:
        """Transient errors are tried again; the waits follow the server's Retry-After."""
        return Retry(max_attempts=TRIES, max_elapsed=120.0)

    def goal(self) -> Validator:
        """The customer got the right explanation."""

        def explains_the_amount(output: Any, inputs: Any) -> tuple[bool, str]:
            return goal_of(artefact_of(output, STEPS[-1]), self.answers[asked(inputs)["ticket_id"]])

        return check(explains_the_amount)

    def label(self, value: Any, step: str) -> bool | None:
        """Whether a step's artefact is right; for the record, never for steering."""
        return label_of(step, artefact_of(value, step), self.answers[current_run().task or ""])


def asked(inputs: Any) -> Mapping[str, Any]:
    """A run's input as a mapping: some hosts take a mapping, others a message with a model."""
    return inputs if isinstance(inputs, Mapping) else dict(inputs)


def artefact_of(value: Any, step: str) -> Any:
    """A step's artefact in what its host hands over.

    State hosts keep it under the step's name, text hosts write it as JSON text.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return value.get(step, value) if isinstance(value, Mapping) else value


def _validator(step: str, judge: Callable[..., tuple[bool, str]]) -> Validator:
    def judged(output: Any, inputs: Any, ctx: Handover) -> tuple[bool, str]:
        accepted = {name: artefact_of(said, name) for name, said in ctx.outputs.items()}
        return judge(artefact_of(output, step), asked(inputs), accepted)

    return check(judged, name=f"check_{step}")

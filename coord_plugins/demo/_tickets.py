"""Tickets in plain words, drawn from what really happened in the billing database."""

from __future__ import annotations

import random
import re
import sqlite3
from dataclasses import dataclass

from coord_plugins.demo import _phrases
from coord_plugins.demo._database import (
    CATEGORY_KINDS,
    TODAY,
    money,
    shift_period,
)
from coord_plugins.demo._history import MONTHS, pick
from coord_plugins.demo._situations import Situation, situations

TICKETS = 240
"""How many tickets `load_tickets` returns."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A customer's question, as it reaches the billing desk."""

    id: str
    """For example ``T-0001``."""
    text: str
    """The customer's own words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The true answer to a ticket; only the goal and the labels may see it."""

    ticket_id: str
    """The ticket that it answers."""
    category: str
    """What the customer asks about, a key of `CATEGORY_KINDS`."""
    kind: str
    """Kind of the explaining line, one of `LINE_KINDS`."""
    customer_id: str
    """For example ``C-0042``."""
    account: str
    """The six digits of the customer's account."""
    email: str
    """Where the reply must go."""
    period: str
    """The month that the ticket asks about, for example ``2026-06``."""
    line_id: str
    """The one line that explains the amount."""
    line_ids: frozenset[str]
    """All lines of that month's invoice."""
    amount_cents: int
    """Amount of the explaining line."""
    total_cents: int
    """Total of that month's invoice."""
    usual_cents: int
    """The usual total of the invoices before."""


def load_tickets(conn: sqlite3.Connection) -> tuple[tuple[Ticket, ...], dict[str, Answer]]:
    """Draw the tickets and their true answers, the same ones every time.

    Args:
        conn: A database from `open_billing`.

    Returns:
        The tickets in the order of their ids, and the answers by ticket id.
    """
    by_kind: dict[str, list[Situation]] = {}
    for situation in situations(conn):
        by_kind.setdefault(situation.line.kind, []).append(situation)
    rng = random.Random("tickets")
    for found in by_kind.values():
        _shuffle(found, rng)
    chosen: list[Situation] = []
    while len(chosen) < TICKETS:  # the kinds take turns, so that rare ones are well represented
        for kind in sorted(by_kind):
            if by_kind[kind] and len(chosen) < TICKETS:
                chosen.append(by_kind[kind].pop())
    _shuffle(chosen, rng)
    tickets, answers = [], {}
    for number, situation in enumerate(chosen, start=1):
        ticket_id = f"T-{number:04d}"
        category, text = _word(situation, rng)
        tickets.append(Ticket(id=ticket_id, text=text))
        answers[ticket_id] = _answer(ticket_id, category, situation)
    return tuple(tickets), answers


def _answer(ticket_id: str, category: str, situation: Situation) -> Answer:
    return Answer(
        ticket_id=ticket_id,
        category=category,
        kind=situation.line.kind,
        customer_id=situation.customer_id,
        account=situation.account,
        email=situation.email,
        period=situation.period,
        line_id=situation.line.id,
        line_ids=situation.line_ids,
        amount_cents=situation.line.cents,
        total_cents=situation.total,
        usual_cents=situation.usual,
    )


def _shuffle(items: list[Situation], rng: random.Random) -> None:
    """Shuffle in place with `random.random` alone, which gives the same on every version."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


_SPECIFIC = {kinds[0]: category for category, kinds in CATEGORY_KINDS.items() if len(kinds) == 1}


def _word(situation: Situation, rng: random.Random) -> tuple[str, str]:
    """Choose what the customer asks and how; return the category and the text."""
    line = situation.line
    category = questions = _SPECIFIC[line.kind]
    roll = rng.random()
    if line.cents < 0 and roll < 0.4:
        category = questions = "lower_total"
    elif line.cents > 0 and roll < 0.5:
        category = questions = "higher_total" if roll < 0.35 else "unknown_charge"
    if situation.total == 2 * situation.usual and roll < 0.8:
        category, questions = "higher_total", "double_total"
    thing = line.description.removeprefix("Annual renewal of ")
    thing = thing.removeprefix("Service credit for ").split(",")[0]
    question = pick(rng, _phrases.QUESTIONS[questions]).format(
        bill=_bill(situation.period, rng),
        thing=thing,
        total=money(situation.total),
        usual=money(situation.usual),
        gap=money(abs(situation.total - situation.usual)),
    )
    return category, _letter(situation, question, rng)


def _bill(period: str, rng: random.Random) -> str:
    """Name the invoice of a period in one of the ways customers do."""
    roll = rng.random()
    ways: tuple[str, ...] = _phrases.BILLS
    if roll < 0.12:
        ways = _phrases.RELATIVE_BILLS
    elif roll < 0.5 and period == shift_period(TODAY[:7], -1):
        ways = _phrases.LAST_BILLS
    month = MONTHS[int(period[5:]) - 1]
    return pick(rng, ways).format(
        month=month,
        short=month[:3],
        year=period[:4],
        number=period[5:],
        next_month=MONTHS[int(shift_period(period, 1)[5:]) - 1],
    )


def _letter(situation: Situation, question: str, rng: random.Random) -> str:
    """Put opening, question, account and closing together, with a slip here and there."""
    a, b, c = (situation.account[n : n + 2] for n in (0, 2, 4))
    account = pick(rng, _phrases.ACCOUNTS).format(a=a, b=b, c=c)
    question = re.sub(r"(^|[.?!:] )([a-z])", lambda match: match[0].upper(), question)
    parts = [question, account]
    if rng.random() < 0.3:
        parts.reverse()
    closing = pick(rng, _phrases.CLOSINGS)
    parts = [pick(rng, _phrases.OPENINGS), *parts, closing]
    text = " ".join(part for part in parts if part)
    if closing == "Kind regards":
        text += f", {situation.name}"
    if rng.random() < 0.25:
        word, slip = pick(rng, tuple(_phrases.TYPOS.items()))
        text = text.replace(word, slip)
    return text.lower() if rng.random() < 0.12 else text

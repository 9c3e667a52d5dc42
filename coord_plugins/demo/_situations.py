"""Invoices of the billing database whose amount one single line explains."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from coord_plugins.demo._database import REGULAR_KINDS, rows, shift_period, usual_total

FIRST_PERIOD = "2025-07"
"""Earliest month that a ticket asks about, so that a month's name alone tells the year."""


class Line(NamedTuple):
    """A line of an invoice."""

    id: str
    kind: str
    description: str
    cents: int


@dataclass(frozen=True, kw_only=True)
class Situation:
    """An invoice with exactly one line that explains why it is not the usual one."""

    customer_id: str
    """For example ``C-0042``."""
    name: str
    """Name of the customer."""
    account: str
    """The six digits of the customer's account."""
    email: str
    """Address of the customer."""
    period: str
    """Month of the invoice."""
    line: Line
    """The line that explains it."""
    line_ids: frozenset[str]
    """All lines of the invoice."""
    total: int
    """Total of the invoice in cents."""
    usual: int
    """The usual total of the invoices before, in cents."""


def situations(conn: sqlite3.Connection) -> Iterator[Situation]:
    """Yield every invoice from `FIRST_PERIOD` on that one line explains."""
    invoices = _read_lines(conn)
    customers = rows(conn, "SELECT id, name, account, email FROM customers ORDER BY id")
    for customer, name, account, email in customers:
        lines = invoices[customer]
        totals = {period: sum(line.cents for line in found) for period, found in lines.items()}
        for period in lines:
            earlier = [shift_period(period, -n) for n in range(1, 7)]
            known = [totals[month] for month in earlier if month in totals]
            line = _explaining(lines[period], lines.get(earlier[0]))
            total, usual = totals[period], usual_total(known)
            if period < FIRST_PERIOD or line is None or known.count(usual) < 3:
                continue
            # A change of the total that the line does not account for would need two answers.
            if total > 0 and (total - usual) * line.cents > 0:
                yield Situation(
                    customer_id=customer,
                    name=name,
                    account=account,
                    email=email,
                    period=period,
                    line=line,
                    line_ids=frozenset(line.id for line in lines[period]),
                    total=total,
                    usual=usual,
                )


def _read_lines(conn: sqlite3.Connection) -> dict[str, dict[str, list[Line]]]:
    """Return the lines by customer and period, with half a year before the first tickets."""
    invoices: dict[str, dict[str, list[Line]]] = {}
    for customer, period, *line in rows(
        conn,
        "SELECT i.customer_id, i.period, l.id, l.kind, l.description, l.amount_cents"
        " FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id"
        " WHERE i.period >= ? ORDER BY l.id",
        (shift_period(FIRST_PERIOD, -6),),
    ):
        invoices.setdefault(customer, {}).setdefault(period, []).append(Line(*line))
    return invoices


def _explaining(now: list[Line], before: list[Line] | None) -> Line | None:
    """Return the one line that the invoice before did not have; None when that is unclear."""
    had = {(line.kind, line.description) for line in before or ()}
    new = [line for line in now if (line.kind, line.description) not in had]
    if before is None or len(new) != 1 or new[0].kind == "subscription":
        return None
    fee = next(line.cents for line in now if line.kind == "subscription")
    # A tax or an add-on above the fee itself would be the largest line as well as the new one.
    return None if new[0].kind in REGULAR_KINDS and new[0].cents >= fee else new[0]

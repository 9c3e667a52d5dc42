"""One validator per step: they recompute from the database and the ticket's own words.

None of them sees a true answer. Their explanations quote what is wrong as it stands in the
output, so that feedback names it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coord_plugins.demo._database import money, rows, shift_period, usual_total
from coord_plugins.demo._words import LINE_ID, account_in, cents_in, period_in, speaks_of

Verdict = tuple[bool, str]
Check = Callable[..., Verdict]


def checks(conn: sqlite3.Connection) -> dict[str, Check]:
    """Return the validators by step.

    Each is called ``check(output, inputs, outputs=None)`` with the step's artefact, the run's
    input state (``ticket_id`` and ``ticket``) and the accepted artefacts of earlier steps by
    name, and returns whether the artefact passes and why not. What the ticket's words leave open
    is taken from ``outputs``; what both leave open is not judged.

    Args:
        conn: A database from `open_billing`.
    """
    made = _Checks(conn)
    return {
        "triage": made.check_triage,
        "retrieve": made.check_retrieve,
        "reconcile": made.check_reconcile,
        "draft": made.check_draft,
        "review": made.check_review,
        "send": made.check_send,
    }


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Whose invoice the ticket asks about, and of which month; None where that is open."""

    account: str | None
    customer_id: str | None
    email: str | None
    period: str | None


class _Checks:
    """The validators, with the database that they read."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def check_triage(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Compare account, month and category with the ticket's words."""
        asked = self._asked(inputs, None)
        account, period, category = output["account"], output["period"], output["category"]
        if asked.account not in (None, account):
            return False, f"the ticket names account {asked.account}, not {account}"
        if asked.customer_id not in (None, output["customer_id"]):
            return False, f"account {account} is {asked.customer_id}, not {output['customer_id']}"
        if asked.period not in (None, period):
            return False, f"the ticket asks about {asked.period}, not {period}"
        if not speaks_of(category, inputs["ticket"]):
            return False, f"the ticket's words do not fit the category {category}"
        return True, "account, month and category fit the ticket's words"

    def check_retrieve(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """See whether the lines are those of the invoice in question, and all of them."""
        asked = self._asked(inputs, outputs)
        customer_id, period, lines = output["customer_id"], output["period"], output["lines"]
        if asked.customer_id not in (None, customer_id):
            return False, f"the lines are of {customer_id}, the ticket is from {asked.customer_id}"
        if asked.period not in (None, period):
            return False, f"the lines are of {period}, the ticket asks about {asked.period}"
        true = self._lines(customer_id, period)
        if not true:
            return False, f"{customer_id} has no invoice of {period}"
        got = {line["id"] for line in lines}
        left_out = [line for line in true if line[0] not in got]
        if left_out:
            kinds = ", ".join(sorted({line[1] for line in left_out}))
            total, found = sum(line[3] for line in true), _sum(lines)
            return False, (
                f"the lines add up to {money(found)}, the invoice of {period} to {money(total)}: "
                f"lines of the kind {kinds} are left out"
            )
        return True, f"these are all {len(true)} lines of {customer_id} in {period}"

    def check_reconcile(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Look the line up and recompute its amount, the total and the usual total."""
        asked = self._asked(inputs, outputs)
        passed, why = self._judge_line(output["line_id"], asked)
        if not passed:
            return False, why
        customer_id, period, amount = self._line(output["line_id"])
        if output["amount_cents"] != amount:
            wrong = money(output["amount_cents"])
            return False, f"line {output['line_id']} is {money(amount)}, not {wrong}"
        total, usual = self._totals(customer_id, period)
        if output["total_cents"] != total:
            wrong = money(output["total_cents"])
            return False, f"the lines of that invoice add up to {money(total)}, not {wrong}"
        if output["usual_cents"] != usual:
            wrong = money(output["usual_cents"])
            return False, f"the usual total before {period} is {money(usual)}, not {wrong}"
        return True, why

    def check_draft(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Judge the lines cited and the amounts stated, and that ``cites`` lists those lines."""
        text, listed = output["text"], set(output["cites"])
        astray = sorted(listed ^ set(LINE_ID.findall(text)))
        if astray:
            return False, f"{astray[0]} must be both in the text and in cites, or in neither"
        return self._judge_text(text, self._asked(inputs, outputs))

    def check_review(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Judge the lines cited and the amounts stated in the reviewed text."""
        return self._judge_text(output["text"], self._asked(inputs, outputs))

    def check_send(
        self,
        output: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Judge the recipient, the lines cited and the amounts stated."""
        asked = self._asked(inputs, outputs)
        if asked.email not in (None, output["to"]):
            return False, f"the address of {asked.customer_id} is {asked.email}, not {output['to']}"
        return self._judge_text(output["body"], asked)

    def _asked(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any] | None) -> _Asked:
        """Read the ticket's words; what they leave open comes from the accepted triage."""
        triage = (outputs or {}).get("triage") or {}
        account = account_in(inputs["ticket"]) or triage.get("account")
        period = period_in(inputs["ticket"]) or triage.get("period")
        found = rows(
            self._conn, "SELECT id, email FROM customers WHERE account = ?", (account or "",)
        )
        customer_id, email = found[0] if found else (None, None)
        return _Asked(account=account, customer_id=customer_id, email=email, period=period)

    def _judge_text(self, text: str, asked: _Asked) -> Verdict:
        cited = list(dict.fromkeys(LINE_ID.findall(text)))
        if not cited:
            return False, "the text cites no invoice line"
        for line_id in cited:
            passed, why = self._judge_line(line_id, asked)
            if not passed:
                return False, why
        customer_id, period, amount = self._line(cited[0])
        total, usual = self._totals(customer_id, period)
        amounts = [self._line(line_id)[2] for line_id in cited]
        stated = cents_in(text)
        figures = {abs(cents) for cents in (*amounts, total, usual, total - usual)}
        for cents in stated:
            if cents not in figures:
                return False, (
                    f"{money(cents)} is no amount of that invoice: line {cited[0]} is "
                    f"{money(amount)}, the total {money(total)}, the usual one {money(usual)}"
                )
        for name, cents in ((f"line {cited[0]}", amount), ("the invoice", total)):
            if abs(cents) not in stated:
                return False, f"the text does not say that {name} comes to {money(cents)}"
        return True, f"line {cited[0]} and the amounts are those of the invoice of {period}"

    def _judge_line(self, line_id: str, asked: _Asked) -> Verdict:
        """See whether a line exists, is of the right invoice, and explains anything."""
        if not rows(self._conn, "SELECT 1 FROM invoice_lines WHERE id = ?", (line_id,)):
            return False, f"there is no line {line_id}"
        customer_id, period, _ = self._line(line_id)
        if asked.customer_id not in (None, customer_id):
            return False, f"line {line_id} is of {customer_id}, not of {asked.customer_id}"
        if asked.period not in (None, period):
            return False, f"line {line_id} is of {period}, the ticket asks about {asked.period}"
        before = {line[1:3] for line in self._lines(customer_id, shift_period(period, -1))}
        line = next(line for line in self._lines(customer_id, period) if line[0] == line_id)
        if line[1:3] in before:
            return False, (
                f"line {line_id} ({line[2]}) explains nothing on the invoice of {period}: "
                "the month before has the same"
            )
        return True, f"line {line_id} is new on the invoice of {period}"

    def _line(self, line_id: str) -> tuple[str, str, int]:
        """Return customer, period and cents of a line."""
        found = rows(
            self._conn,
            "SELECT i.customer_id, i.period, l.amount_cents FROM invoice_lines l"
            " JOIN invoices i ON i.id = l.invoice_id WHERE l.id = ?",
            (line_id,),
        )
        customer_id, period, cents = found[0]
        return customer_id, period, cents

    def _lines(self, customer_id: str, period: str) -> list[tuple[Any, ...]]:
        """Return (id, kind, description, cents) of an invoice's lines."""
        return rows(
            self._conn,
            "SELECT l.id, l.kind, l.description, l.amount_cents FROM invoice_lines l"
            " JOIN invoices i ON i.id = l.invoice_id"
            " WHERE i.customer_id = ? AND i.period = ? ORDER BY l.id",
            (customer_id, period),
        )

    def _totals(self, customer_id: str, period: str) -> tuple[int, int]:
        """Return the total of an invoice and the usual total of those before, in cents."""
        earlier = rows(
            self._conn,
            "SELECT total_cents FROM invoices WHERE customer_id = ? AND period < ?"
            " ORDER BY period DESC LIMIT 6",
            (customer_id, period),
        )
        total = sum(line[3] for line in self._lines(customer_id, period))
        return total, usual_total([cents for (cents,) in earlier])


def _sum(lines: Sequence[Mapping[str, Any]]) -> int:
    return sum(line["amount_cents"] for line in lines)

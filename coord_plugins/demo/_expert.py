"""What the simulated model answers when it goes right: rules applied to a prompt's own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coord_plugins.demo._database import (
    CATEGORY_KINDS,
    REGULAR_KINDS,
    money,
    month_name,
    usual_total,
)
from coord_plugins.demo._tickets import Answer

Data = Mapping[str, Any]
Answered = dict[str, Any]

_REASONS: Mapping[str, str] = {
    "subscription": "This is the monthly fee of your plan.",
    "addon": "It is an add-on of your subscription and is billed every month.",
    "tax": "We have to charge the tax since your exemption ended.",
    "annual_renewal": "It is billed once a year, in this month.",
    "proration": "It settles the rest of the month after your change of plan.",
    "credit": "It makes good for the time in which you could not work.",
    "refund": "It gives you back what you had paid for seats that you no longer use.",
    "late_fee": "It was added because the invoice before was paid after its due date.",
}


def answer_triage(data: Data, answers: Mapping[str, Answer]) -> Answered:
    """Read the ticket; the simulated model cannot read, so it looks its own ticket up."""
    answer = answers.get(data["ticket_id"])
    if answer is None:
        raise ValueError(
            f"the simulated model only knows the demo's tickets, not {data['ticket_id']!r}"
        )
    return {"category": answer.category, "account": answer.account, "period": answer.period}


def answer_retrieve(data: Data) -> Answered:
    """Ask for the regular kinds and those that can answer the category."""
    triage = data["triage"]
    kinds = dict.fromkeys((*REGULAR_KINDS, *CATEGORY_KINDS[triage["category"]]))
    return {
        "customer_id": triage["customer_id"],
        "period": triage["period"],
        "kinds": list(kinds),
    }


def answer_reconcile(data: Data) -> Answered:
    """Find the line that the month before did not have, and add the invoice up."""
    found = data["retrieve"]
    had = {(line["kind"], line["description"]) for line in found["earlier_lines"]}
    wanted = CATEGORY_KINDS[data["triage"]["category"]]
    lines = found["lines"]
    new = [line for line in lines if (line["kind"], line["description"]) not in had]
    # With nothing new to show, a model still answers: with what weighs most.
    candidates = [line for line in new if line["kind"] in wanted] or lines or [_NO_LINE]
    line = max(candidates, key=lambda line: abs(line["amount_cents"]))
    return {
        "line_id": line["id"],
        "amount_cents": line["amount_cents"],
        "total_cents": sum(line["amount_cents"] for line in lines),
        "usual_cents": usual_total([month["total_cents"] for month in found["earlier_totals"]]),
        "explanation": f"{line['description']}. {_REASONS[line['kind']]}",
    }


_NO_LINE = {
    "id": "L-000000",
    "kind": "subscription",
    "description": "Monthly fee",
    "amount_cents": 0,
}


def answer_draft(data: Data) -> Answered:
    """Write the reply from what reconcile found."""
    triage, found = data["triage"], data["reconcile"]
    text = (
        f"Dear team at {triage['name']},\n\n"
        f"thank you for your message. Your invoice for {month_name(triage['period'])} comes to "
        f"{money(found['total_cents'])} EUR; usually it is {money(found['usual_cents'])} EUR. "
        f"Line {found['line_id']} with {money(found['amount_cents'])} EUR explains it: "
        f"{found['explanation']}\n\n"
        "Please write again if anything is left open.\n\n"
        "Kind regards\nYour billing desk"
    )
    return {"text": text, "cites": [found["line_id"]]}


def answer_review(data: Data) -> Answered:
    """Approve the draft; the facts were settled before."""
    return {"approved": True, "text": data["draft"]["text"]}


def answer_send(data: Data) -> Answered:
    """Address the reviewed text to the customer."""
    triage = data["triage"]
    subject = f"Your invoice for {month_name(triage['period'])} ({data['ticket_id']})"
    return {"to": triage["email"], "subject": subject, "body": data["review"]["text"]}


ANSWER: Mapping[str, Callable[[Data], Answered]] = {
    "retrieve": answer_retrieve,
    "reconcile": answer_reconcile,
    "draft": answer_draft,
    "review": answer_review,
    "send": answer_send,
}
"""The rules by step; triage needs the tickets as well."""

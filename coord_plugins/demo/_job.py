"""The billing desk's job: six steps, each one model call and then real work.

A step is used as ``finish(step, model(prompt_for(step, state)), state, conn)``. What a step makes
is its artefact, a plain dictionary; the state maps ``ticket_id``, ``ticket`` (the text) and the
names of the steps done so far to their artefacts. Each step works from the artefacts before it
and trusts them, as an agent pipeline does: an error travels on to the customer.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from coord_plugins.demo._database import CATEGORY_KINDS, LINE_KINDS, rows, shift_period
from coord_plugins.demo._prompts import DATA, FEEDBACK, INSTRUCTIONS

STEPS = ("triage", "retrieve", "reconcile", "draft", "review", "send")
"""The steps of the job, in order."""

State = Mapping[str, Any]
Artefact = dict[str, Any]

_NEEDS = {
    "triage": (),
    "retrieve": ("triage",),
    "reconcile": ("triage", "retrieve"),
    "draft": ("triage", "reconcile"),
    "review": ("reconcile", "draft"),
    "send": ("triage", "review"),
}
_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)
_PERIOD = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])")


def prompt_for(step: str, state: State, feedback: str | None = None) -> str:
    """Write the prompt of a step.

    Args:
        step: One of `STEPS`.
        state: ``ticket_id``, ``ticket`` and the artefacts of the steps before, by step name.
        feedback: Why the previous attempt was rejected; it is carried word for word.

    Raises:
        ValueError: There is no such step, or the state lacks something that the step needs.
    """
    _known(step)
    names = ("ticket_id", "ticket", *_NEEDS[step])
    missing = [name for name in names if name not in state]
    if missing:
        raise ValueError(f"{step} needs {', '.join(missing)} in the state")
    prompt = INSTRUCTIONS[step] + data_block({name: state[name] for name in names})
    return prompt if feedback is None else prompt + FEEDBACK.format(feedback=feedback)


def data_block(data: State) -> str:
    """The block of a prompt that carries its data."""
    # One line for each entry: easy to read, and much faster to write than an indented dump.
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in data.items()
    ]
    return DATA.format(data="{" + ",\n ".join(lines) + "}")


def finish(step: str, reply: str, state: State, conn: sqlite3.Connection) -> Artefact:
    """Read the model's reply to a step's prompt and do the step's work.

    Args:
        step: One of `STEPS`.
        reply: The model's reply: JSON text, fenced or not.
        state: The state that the prompt was written from.
        conn: A database from `open_billing`.

    Returns:
        The artefact. Of triage ``category``, ``account``, ``period``, ``customer_id``, ``name``
        and ``email``; of retrieve ``customer_id``, ``period``, ``kinds``, ``invoice_id``,
        ``lines``, ``earlier_lines`` and ``earlier_totals``; of reconcile ``line_id``,
        ``amount_cents``, ``total_cents``, ``usual_cents``, ``difference_cents`` and
        ``explanation``; of draft ``text`` and ``cites``; of review ``approved`` and ``text``; of
        send ``to``, ``subject`` and ``body``, the message for the mail gateway.

    Raises:
        ValueError: There is no such step, or the reply lacks a field or has one of a wrong type,
            which the message names.
        json.JSONDecodeError: The reply is not JSON (a kind of ValueError).
    """
    _known(step)
    fenced = _FENCED.fullmatch(reply)
    answer = json.loads(fenced[1] if fenced else reply)
    if not isinstance(answer, dict):
        raise ValueError(f"{step}: the reply must be one JSON object")
    return _FINISH[step](answer, state, conn)


def _known(step: str) -> None:
    if step not in STEPS:
        raise ValueError(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")


def _field(answer: Artefact, step: str, name: str, kind: type, what: str) -> Any:
    """Return a field of the reply, or raise ValueError that names it."""
    if name not in answer:
        raise ValueError(f"{step}: the field {name!r} is missing")
    value = answer[name]
    # bool is an int to Python, but true is no amount.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{step}: the field {name!r} must be {what}, not {value!r}")
    return value


def _text(answer: Artefact, step: str, name: str) -> str:
    value: str = _field(answer, step, name, str, "text")
    if not value.strip():
        raise ValueError(f"{step}: the field {name!r} is empty")
    return value


def _cents(answer: Artefact, step: str, name: str) -> int:
    value: int = _field(answer, step, name, int, "a whole number of cents")
    return value


def _period(answer: Artefact, step: str) -> str:
    period = _text(answer, step, "period")
    if not _PERIOD.fullmatch(period):
        raise ValueError(f"{step}: the field 'period' must look like 2026-06, not {period!r}")
    return period


def _texts(answer: Artefact, step: str, name: str) -> list[str]:
    values: list[Any] = _field(answer, step, name, list, "a list of texts")
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{step}: the field {name!r} must be a list of texts, not {values!r}")
    return values


def _triage(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    """Find the customer of the account that the model read."""
    category = _text(answer, "triage", "category")
    if category not in CATEGORY_KINDS:
        known = ", ".join(CATEGORY_KINDS)
        raise ValueError(f"triage: the field 'category' must be one of {known}, not {category!r}")
    account = re.sub(r"\D", "", _text(answer, "triage", "account"))
    found = rows(conn, "SELECT id, name, email FROM customers WHERE account = ?", (account,))
    if not found:
        raise ValueError(f"triage: the field 'account' names no customer: {answer['account']!r}")
    customer_id, name, email = found[0]
    return {
        "category": category,
        "account": account,
        "period": _period(answer, "triage"),
        "customer_id": customer_id,
        "name": name,
        "email": email,
    }


def _retrieve(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    """Read the lines that the model asked for, those of the month before, and earlier totals."""
    customer_id = _text(answer, "retrieve", "customer_id")
    period = _period(answer, "retrieve")
    kinds = _texts(answer, "retrieve", "kinds")
    unknown = [kind for kind in kinds if kind not in LINE_KINDS]
    if unknown or not kinds:
        raise ValueError(
            f"retrieve: the field 'kinds' must name kinds among {', '.join(LINE_KINDS)}, "
            f"not {', '.join(unknown) or 'none at all'}"
        )
    earlier = rows(
        conn,
        "SELECT period, total_cents FROM invoices WHERE customer_id = ? AND period < ?"
        " ORDER BY period DESC LIMIT 6",
        (customer_id, period),
    )
    invoice = rows(
        conn,
        "SELECT id FROM invoices WHERE customer_id = ? AND period = ?",
        (customer_id, period),
    )
    return {
        "customer_id": customer_id,
        "period": period,
        "kinds": kinds,
        "invoice_id": invoice[0][0] if invoice else None,
        "lines": _lines(conn, customer_id, period, kinds),
        "earlier_lines": _lines(conn, customer_id, shift_period(period, -1), kinds),
        "earlier_totals": [{"period": month, "total_cents": cents} for month, cents in earlier],
    }


def _lines(
    conn: sqlite3.Connection, customer_id: str, period: str, kinds: list[str]
) -> list[Artefact]:
    marks = ", ".join("?" * len(kinds))
    found = rows(
        conn,
        "SELECT l.id, l.kind, l.description, l.amount_cents, l.period"
        " FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id"
        f" WHERE i.customer_id = ? AND i.period = ? AND l.kind IN ({marks}) ORDER BY l.id",
        (customer_id, period, *kinds),
    )
    names = ("id", "kind", "description", "amount_cents", "period")
    return [dict(zip(names, line, strict=True)) for line in found]


def _reconcile(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    total = _cents(answer, "reconcile", "total_cents")
    usual = _cents(answer, "reconcile", "usual_cents")
    return {
        "line_id": _text(answer, "reconcile", "line_id"),
        "amount_cents": _cents(answer, "reconcile", "amount_cents"),
        "total_cents": total,
        "usual_cents": usual,
        "difference_cents": total - usual,
        "explanation": _text(answer, "reconcile", "explanation"),
    }


def _draft(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    return {"text": _text(answer, "draft", "text"), "cites": _texts(answer, "draft", "cites")}


def _review(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    approved = _field(answer, "review", "approved", bool, "true or false")
    return {"approved": approved, "text": _text(answer, "review", "text")}


def _send(answer: Artefact, state: State, conn: sqlite3.Connection) -> Artefact:
    """Make the message that the mail gateway takes."""
    to = _text(answer, "send", "to").strip()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", to):
        raise ValueError(f"send: the field 'to' must be one address, not {to!r}")
    subject = " ".join(_text(answer, "send", "subject").split())  # a header is one line
    return {"to": to, "subject": subject, "body": _text(answer, "send", "body")}


_FINISH: Mapping[str, Callable[[Artefact, State, sqlite3.Connection], Artefact]] = {
    "triage": _triage,
    "retrieve": _retrieve,
    "reconcile": _reconcile,
    "draft": _draft,
    "review": _review,
    "send": _send,
}

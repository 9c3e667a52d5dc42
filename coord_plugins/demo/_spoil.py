"""Content faults: what a right answer of the simulated model becomes when it goes wrong.

Each function returns the wrong answer and its marks, the words that feedback must contain to name
the fault, such as the wrong line's id or the wrong amount.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping

from coord_plugins.demo._database import (
    CATEGORY_KINDS,
    REGULAR_KINDS,
    money,
    rows,
    shift_period,
)
from coord_plugins.demo._expert import Answered, Data, answer_reconcile
from coord_plugins.demo._faults import Fault
from coord_plugins.demo._job import finish
from coord_plugins.demo._tickets import Answer
from coord_plugins.demo._words import AMOUNT, LINE_ID, cents_in

Spoiled = tuple[Answered, tuple[str, ...]]

_STEPS_UP = (700, 900, 1000, 2700, 3600, 4500, 6300, 9900, 11100, 13300)


def spoil(
    fault: Fault,
    answer: Answered,
    data: Data,
    conn: sqlite3.Connection,
    answers: Mapping[str, Answer],
) -> Spoiled:
    """Turn a step's right answer into the wrong one that a content fault makes of it.

    Args:
        fault: A content fault of the step.
        answer: What the model would have answered.
        data: The data of the prompt.
        conn: The billing database, for lines and customers that are taken for the right ones.
        answers: The true answers, so that a wrong category really is one.
    """
    if fault.step == "triage":
        return _spoil_triage(fault, answer, conn, answers[data["ticket_id"]])
    if fault.step == "retrieve":
        return _spoil_retrieve(fault, answer, data, conn)
    if fault.step == "reconcile":
        return _spoil_reconcile(fault, answer, data)
    if fault.kind == "other_recipient":
        email = _other_customer(conn, "email", answer["to"], fault.roll)
        return {**answer, "to": email}, (email,)
    field = "body" if fault.step == "send" else "text"
    text, mark = _TEXT_FAULTS[fault.kind](answer[field], fault.roll, conn)
    wrong = {**answer, field: text}
    if fault.step == "draft":
        wrong["cites"] = LINE_ID.findall(text)
    return wrong, (mark,)


def _spoil_triage(
    fault: Fault, answer: Answered, conn: sqlite3.Connection, truth: Answer
) -> Spoiled:
    if fault.kind == "other_month":
        return _other_month(fault, answer)
    if fault.kind == "other_account":
        account = _other_customer(conn, "account", answer["account"], fault.roll)
        return {**answer, "account": account}, (account,)
    wrong = [name for name, kinds in CATEGORY_KINDS.items() if truth.kind not in kinds]
    category = wrong[int(fault.roll * len(wrong))]
    return {**answer, "category": category}, (category,)


def _spoil_retrieve(
    fault: Fault, answer: Answered, data: Data, conn: sqlite3.Connection
) -> Spoiled:
    if fault.kind == "other_month":
        return _other_month(fault, answer)
    if fault.kind == "other_account":
        customer = _other_customer(conn, "id", answer["customer_id"], fault.roll)
        return {**answer, "customer_id": customer}, (customer,)
    kind = _needed_kind(answer, data, conn)
    return {**answer, "kinds": [name for name in answer["kinds"] if name != kind]}, (kind,)


def _needed_kind(answer: Answered, data: Data, conn: sqlite3.Connection) -> str:
    """Return the kind of the line that these lines would have been read for."""
    found = finish("retrieve", json.dumps(answer), data, conn)
    line_id = answer_reconcile({**data, "retrieve": found})["line_id"]
    kinds = [line["kind"] for line in found["lines"] if line["id"] == line_id]
    return str(kinds[0]) if kinds else REGULAR_KINDS[0]


def _spoil_reconcile(fault: Fault, answer: Answered, data: Data) -> Spoiled:
    found = data["retrieve"]
    others = [line for line in found["lines"] if line["id"] != answer["line_id"]]
    lines = found["earlier_lines"] if fault.kind == "other_month" else others
    if fault.kind == "wrong_sum":
        known = [answer[name] for name in ("amount_cents", "total_cents", "usual_cents")]
        total = _wrong_amount(answer["total_cents"], known, fault.roll)
        return {**answer, "total_cents": total}, (money(total), str(total))
    if fault.kind == "invented_line" or not lines:
        line_id = _invent(answer["line_id"])
        return {**answer, "line_id": line_id}, (line_id,)
    line = lines[int(fault.roll * len(lines))]
    wrong = {"line_id": line["id"], "amount_cents": line["amount_cents"]}
    return {**answer, **wrong, "explanation": f"{line['description']}."}, (line["id"],)


def _other_month(fault: Fault, answer: Answered) -> Spoiled:
    period = shift_period(answer["period"], -1 if fault.roll < 0.7 else -2)
    return {**answer, "period": period}, (period,)


def _other_customer(conn: sqlite3.Connection, column: str, value: str, roll: float) -> str:
    """Return the id, account or email of a customer who is taken for the right one."""
    found = rows(conn, f"SELECT {column} FROM customers WHERE {column} <> ? ORDER BY id", (value,))
    return str(found[int(roll * len(found))][0])


def _invent(line_id: str) -> str:
    """Return an id that looks like the given one and that no line has."""
    return f"L-9{line_id[3:]}"


def _wrong_amount(cents: int, known: Iterable[int], roll: float) -> int:
    """Return a larger amount that is none of the known ones, nor a difference between two."""
    figures = {abs(amount) for amount in known}
    figures |= {abs(one - other) for one in figures for other in figures}
    start = int(roll * len(_STEPS_UP))
    ways = [abs(cents) + up for up in (*_STEPS_UP[start:], *_STEPS_UP[:start])]
    wrong = next((amount for amount in ways if amount not in figures), max(figures) + 700)
    return -wrong if cents < 0 else wrong


def _text_of_other_month(text: str, roll: float, conn: sqlite3.Connection) -> tuple[str, str]:
    """Cite a line of the same customer's invoice before instead."""
    cited = LINE_ID.search(text)
    found = rows(
        conn,
        "SELECT other.id FROM invoice_lines line"
        " JOIN invoices invoice ON invoice.id = line.invoice_id"
        " JOIN invoices before ON before.customer_id = invoice.customer_id"
        " AND before.period < invoice.period"
        " JOIN invoice_lines other ON other.invoice_id = before.id"
        " WHERE line.id = ? ORDER BY other.id DESC LIMIT 3",
        (cited[0] if cited else "",),
    )
    if not found:  # the cited line does not exist, or is on the customer's first invoice
        return _text_with_invented_line(text, roll, conn)
    line_id = str(found[int(roll * len(found))][0])
    return LINE_ID.sub(line_id, text), line_id


def _text_with_invented_line(text: str, roll: float, conn: sqlite3.Connection) -> tuple[str, str]:
    cited = LINE_ID.search(text)
    line_id = _invent(cited[0] if cited else "L-000000")
    return LINE_ID.sub(line_id, text), line_id


def _text_with_wrong_sum(text: str, roll: float, conn: sqlite3.Connection) -> tuple[str, str]:
    """Misstate one of the amounts, any of them."""
    amounts = list(AMOUNT.finditer(text))
    if not amounts:
        return _text_with_invented_line(text, roll, conn)
    at = amounts[int(roll * len(amounts))]
    known = cents_in(text)
    wrong = money(_wrong_amount(cents_in(at[0])[0], known, roll))
    return text[: at.start()] + wrong + text[at.end() :], wrong


_TEXT_FAULTS: Mapping[str, Callable[[str, float, sqlite3.Connection], tuple[str, str]]] = {
    "other_month": _text_of_other_month,
    "invented_line": _text_with_invented_line,
    "wrong_sum": _text_with_wrong_sum,
}

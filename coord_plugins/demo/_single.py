"""The baseline: one model call that does the whole job of a ticket.

Before anybody builds six steps they should know what one call does. It gets the same tickets and
the same goal. Plain code finds the customer by the account number in the ticket and brings all of
their recent invoices; the model reads, reconciles and writes in one go, and its e-mail is sent.

What the simulated model assumes of one call:

- Each of the six parts of the work goes wrong in content as often as in a call of its own, and in
  the same places: six steps and one call on the same ticket and trial make the same mistakes. That
  favours the one call, for real models tend to do worse when one prompt asks for everything.
- A mistake in one part carries on into the later ones, as between steps. Nobody looks in between.
- Rate limits, timeouts and replies that are no JSON strike once per call, so one call meets them a
  sixth as often as six. Nothing is tried again: a retry would win back at most these 1.5 %.
- It costs its own, longer prompt and its reply, at the same prices. It does not write down how it
  got to the answer, which favours it again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from .. import Retry, current_run, retrying, track
from ._database import rows
from ._desk import PRICES, Desk
from ._job import data_block
from ._prompts import AT_ONCE

SINGLE = "billing-desk-single"
"""The pipeline's name in the store."""
_MONTHS = 13
"""Invoices of the customer that the prompt holds, the latest ones."""
_ACCOUNT = re.compile(r"(?<!\d)\d\d[ -]?\d\d[ -]?\d\d(?!\d)")


def prompt_at_once(ticket_id: str, ticket: str, conn: sqlite3.Connection) -> str:
    """The prompt that asks for the whole job.

    Args:
        ticket_id: The ticket.
        ticket: Its text.
        conn: A database from `open_billing`.
    """
    state = {"ticket_id": ticket_id, "ticket": ticket, **_customer(ticket, conn)}
    return AT_ONCE + data_block(state)


def _customer(ticket: str, conn: sqlite3.Connection) -> dict[str, Any]:
    """The customer whose account the ticket names, with their latest invoices."""
    for found in _ACCOUNT.findall(ticket):
        account = re.sub(r"\D", "", found)
        known = rows(conn, "SELECT id, name, email FROM customers WHERE account = ?", (account,))
        if known:
            [(customer_id, name, email)] = known
            who = {"account": account, "customer_id": customer_id, "name": name, "email": email}
            return {"customer": who, "invoices": _invoices(customer_id, conn)}
    return {"customer": None, "invoices": []}


def _invoices(customer_id: str, conn: sqlite3.Connection) -> list[dict[str, Any]]:
    found = rows(
        conn,
        "SELECT id, period FROM invoices WHERE customer_id = ? ORDER BY period DESC LIMIT ?",
        (customer_id, _MONTHS),
    )
    columns = "id, kind, description, amount_cents"
    names = columns.split(", ")
    listed = []
    for invoice_id, period in found:
        lines = rows(
            conn,
            f"SELECT {columns} FROM invoice_lines WHERE invoice_id = ? ORDER BY id",
            (invoice_id,),
        )
        listed.append(
            {"period": period, "lines": [dict(zip(names, line, strict=True)) for line in lines]}
        )
    return listed


def single_call(desk: Desk, **settings: Any) -> Any:
    """The whole job as one function with one model call; each call of it is a recorded run.

    Args:
        desk: The job.
        settings: Of `track`: store, metadata.
    """

    @retrying(Retry(max_attempts=1))  # nothing is repeated; it makes the function a step
    def answer(inputs: Mapping[str, Any]) -> dict[str, Any]:
        prompt = prompt_at_once(inputs["ticket_id"], inputs["ticket"], desk.conn)
        reply = desk.model.reply_at_once(prompt)
        current_run().add_usage(
            model=desk.model.name,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )
        return desk.work("send", reply.text, inputs)

    pipeline = track(SINGLE, goal=desk.goal(), task="ticket_id", prices=PRICES, **settings)

    @pipeline
    def desk_at_once(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return answer(inputs)

    return desk_at_once

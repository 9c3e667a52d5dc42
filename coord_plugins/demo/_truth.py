"""Was the job done? The goal and the labels; they alone see the true answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coord_plugins.demo._database import CATEGORY_KINDS, money
from coord_plugins.demo._tickets import Answer
from coord_plugins.demo._words import LINE_ID, cents_in


def goal(final: object, answer: Answer) -> tuple[bool, str]:
    """Judge the message that went to the customer; nothing else counts.

    It must go to the right address, cite the explaining line and no line of another invoice, and
    state that line's amount and the invoice's total; every other amount in it must be the usual
    total or the difference.

    Args:
        final: The message, or the final state that holds it under ``send``.
        answer: The true answer of the ticket.

    Returns:
        Whether the goal is met, and why not.
    """
    message = final.get("send", final) if isinstance(final, Mapping) else None
    if not isinstance(message, Mapping) or "body" not in message:
        return False, "no message was sent"
    if message.get("to") != answer.email:
        return False, f"the message went to {message.get('to')}, not to {answer.email}"
    return _facts(str(message["body"]), answer)


def label(step: str, artefact: object, answer: Answer) -> bool | None:
    """Say whether a step's artefact is right, given the true answer.

    Returns:
        None for a step that is not of the job.
    """
    judge = _LABELS.get(step)
    if judge is None:
        return None
    return isinstance(artefact, Mapping) and judge(artefact, answer)


def _facts(text: str, answer: Answer) -> tuple[bool, str]:
    """Judge the lines and amounts in a text to the customer."""
    cited = LINE_ID.findall(text)
    if answer.line_id not in cited:
        return False, f"it cites {', '.join(cited) or 'no line'}, not {answer.line_id}"
    foreign = [line_id for line_id in cited if line_id not in answer.line_ids]
    if foreign:
        return False, f"it cites {foreign[0]}, which is not on the invoice of {answer.period}"
    stated = cents_in(text)
    amount, total, usual = answer.amount_cents, answer.total_cents, answer.usual_cents
    for name, cents in (("the line's amount", amount), ("the invoice's total", total)):
        if abs(cents) not in stated:
            return False, f"it does not state {name} of {money(cents)}"
    true = {abs(cents) for cents in (amount, total, usual, total - usual)}
    wrong = [cents for cents in stated if cents not in true]
    if wrong:
        return False, f"it states {money(wrong[0])}, which is no amount of that invoice"
    return True, f"it cites {answer.line_id} with {money(amount)}"


def _triage(artefact: Mapping[str, Any], answer: Answer) -> bool:
    # A broader category than the true one still leads to the line.
    return (
        artefact.get("customer_id") == answer.customer_id
        and artefact.get("period") == answer.period
        and answer.kind in CATEGORY_KINDS.get(str(artefact.get("category")), ())
    )


def _retrieve(artefact: Mapping[str, Any], answer: Answer) -> bool:
    return {line["id"] for line in artefact.get("lines", ())} == answer.line_ids


def _reconcile(artefact: Mapping[str, Any], answer: Answer) -> bool:
    found = [artefact.get(name) for name in ("line_id", "amount_cents", "total_cents")]
    if found != [answer.line_id, answer.amount_cents, answer.total_cents]:
        return False
    return artefact.get("usual_cents") == answer.usual_cents


def _text(artefact: Mapping[str, Any], answer: Answer) -> bool:
    return _facts(str(artefact.get("text", "")), answer)[0]


def _send(artefact: Mapping[str, Any], answer: Answer) -> bool:
    return goal(artefact, answer)[0]


_LABELS = {
    "triage": _triage,
    "retrieve": _retrieve,
    "reconcile": _reconcile,
    "draft": _text,
    "review": _text,
    "send": _send,
}

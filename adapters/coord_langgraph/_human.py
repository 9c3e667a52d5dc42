"""`otherwise=HUMAN`: a person decides, by LangGraph's interrupt, in LangChain's format.

The rejected candidate is kept in the hidden channel and the node is sent to itself: its next
visit does no work, it only asks. So the person judges exactly what the validators saw, however
often the process dies in between.
"""

from __future__ import annotations

from typing import Any

from langgraph.types import interrupt

from coord_plugins import AttemptsExhaustedError, Run, Verdict

ALLOWED = ["approve", "edit", "reject"]
_HELP = (
    "The last answer was no decision. Resume with Command(resume={'decisions': "
    "[{'type': 'approve'}]}), 'reject' with a 'message', or 'edit' with "
    "'edited_action': {'name': ..., 'args': {'output': ...}}."
)


def ask(run: Run, node: str, waiting: dict[str, Any]) -> Any:
    """Interrupt until a person has decided; returns the output that goes on.

    The request and the answer have the shape of LangChain's human-in-the-loop middleware. An
    edit gives the new output as `edited_action["args"]["output"]`. An answer that is no decision
    is asked for again, with what an answer looks like.

    Raises:
        AttemptsExhaustedError: The person rejected it.
    """
    decision, why = None, waiting["why"]
    while decision is None:
        decision = _decision(interrupt(_request(node, waiting["output"], why)))
        why = f"{waiting['why']}\n{_HELP}"
    kind, words = decision["type"], decision.get("message")
    run.judged_by_human(node, approved=kind != "reject", words=words)
    if kind == "approve":
        return waiting["output"]
    if kind == "edit":
        return decision["edited_action"]["args"]["output"]
    said = Verdict(passed=False, name="human", explanation=words or "rejected by a person")
    raise AttemptsExhaustedError(node, waiting["attempts"], [said])


def _request(node: str, output: Any, why: str) -> dict[str, Any]:
    return {
        "action_requests": [{"name": node, "args": {"output": output}, "description": why}],
        "review_configs": [{"action_name": node, "allowed_decisions": ALLOWED}],
    }


def _decision(answer: Any) -> dict[str, Any] | None:
    """The first decision of an answer; None when it has none that can be carried out."""
    decisions = answer.get("decisions") if isinstance(answer, dict) else None
    first = decisions[0] if isinstance(decisions, list) and decisions else None
    if not isinstance(first, dict) or first.get("type") not in ALLOWED:
        return None
    edited = first.get("edited_action")
    args = edited.get("args") if isinstance(edited, dict) else None
    return None if first["type"] == "edit" and "output" not in (args or {}) else first

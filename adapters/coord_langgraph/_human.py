"""`otherwise=HUMAN`: a person decides, by LangGraph's interrupt, in LangChain's format.

The rejected candidate is kept in the hidden channel and the node is sent to itself: its next
visit does no work, it only asks. So the person judges exactly what the validators saw, however
often the process dies in between.
"""

from __future__ import annotations

from typing import Any

from coord_plugins import AttemptsExhaustedError, PolicyError, Run, Verdict
from langgraph.types import interrupt

ALLOWED = ["approve", "edit", "reject"]


def ask(run: Run, node: str, waiting: dict[str, Any]) -> Any:
    """Interrupt until a person has decided; returns the output that goes on.

    The request and the answer have the shape of LangChain's human-in-the-loop middleware. An
    edit gives the new output as `edited_action["args"]["output"]`.

    Raises:
        AttemptsExhaustedError: The person rejected it.
        PolicyError: The answer is no decision.
    """
    request = {
        "action_requests": [
            {
                "name": node,
                "args": {"output": waiting["output"]},
                "description": waiting["why"],
            }
        ],
        "review_configs": [{"action_name": node, "allowed_decisions": ALLOWED}],
    }
    decision = _decision(interrupt(request), node)
    kind = decision["type"]
    words = decision.get("message")
    run.judged_by_human(node, approved=kind != "reject", words=words)
    if kind == "approve":
        return waiting["output"]
    if kind == "edit":
        return decision["edited_action"]["args"]["output"]
    said = Verdict(passed=False, name="human", explanation=words or "rejected by a person")
    raise AttemptsExhaustedError(node, waiting["attempts"], [said])


def _decision(answer: Any, node: str) -> dict[str, Any]:
    decisions = answer.get("decisions") if isinstance(answer, dict) else None
    first = decisions[0] if isinstance(decisions, list) and decisions else None
    if isinstance(first, dict) and first.get("type") in ALLOWED:
        edited = first.get("edited_action", {})
        if first["type"] != "edit" or "output" in edited.get("args", {}):
            return first
    raise PolicyError(
        f"the answer for step {node!r} is no decision: resume with Command(resume="
        "{'decisions': [{'type': 'approve'}]}), 'reject' with a 'message', or 'edit' with "
        "'edited_action': {'name': ..., 'args': {'output': ...}}"
    )

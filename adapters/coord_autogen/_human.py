"""`otherwise=HUMAN`: a handoff to a person, in the words of LangChain's human-in-the-loop.

The rejected candidate is kept beside the chat, in the run's own state. The chat stops with a
handoff that asks; the answer is the task of the next `run`, and gives the word to the agent whose
answer it was, which says what the person let pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage

from coord_plugins import AttemptsExhaustedError, PolicyError, Run, Verdict

from ._messages import DECISION, FROM, GOTO, MARK, NOTE, REQUEST, RUN, neutral, text_of, with_value

ALLOWED = ("approve", "edit", "reject")
"""The decisions that a person can make."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A candidate that a person must decide about."""

    step: str
    """Whose candidate it is."""
    candidate: Any
    """The message that was rejected."""
    why: str
    """The validators' words."""
    attempts: int
    """Judged candidates."""
    run_id: str
    """The run that asks."""
    decided: dict[str, Any] | None = None
    """The person's answer."""

    def message(self) -> HandoffMessage:
        """The handoff that asks."""
        request = {
            "action_requests": [
                {
                    "name": self.step,
                    "args": {"output": text_of(neutral(self.candidate))},
                    "description": self.why,
                }
            ],
            "review_configs": [{"action_name": self.step, "allowed_decisions": ALLOWED}],
        }
        return HandoffMessage(
            content=f"{self.step}'s answer needs a person's decision.",
            source=NOTE,
            target="user",
            metadata={
                MARK: "question",
                GOTO: self.step,
                FROM: self.step,
                RUN: self.run_id,
                REQUEST: json.dumps(request),
            },
        )

    def answers(self, decision: BaseChatMessage) -> bool:
        """Whether a person's decision is about this question."""
        about = (decision.metadata.get(RUN), decision.metadata.get(GOTO))
        return about == (self.run_id, self.step)

    def answer(self, run: Run) -> BaseChatMessage:
        """What goes on by the person's decision.

        Raises:
            AttemptsExhaustedError: They rejected it.
        """
        decided = self.decided or {}
        kind, words = decided["type"], decided.get("message")
        run.judged_by_human(self.step, approved=kind != "reject", words=words)
        if kind == "reject":
            said = Verdict(passed=False, name="human", explanation=words or "rejected by a person")
            raise AttemptsExhaustedError(self.step, self.attempts, [said])
        message = self.candidate
        if kind == "edit":
            message = with_value(message, decided["output"])
        run.outputs[self.step] = neutral(message)
        found: BaseChatMessage = message
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for a saved state."""
        return {
            "step": self.step,
            "candidate": self.candidate.dump(),
            "why": self.why,
            "attempts": self.attempts,
            "run_id": self.run_id,
        }


def ask(run: Run, step: str, candidate: BaseChatMessage, error: Exception) -> Question:
    """The question about a candidate whose edge is spent."""
    verdicts = getattr(error, "verdicts", ())
    return Question(
        step=step,
        candidate=candidate,
        why="; ".join(v.explanation or v.name for v in verdicts) or str(error),
        attempts=getattr(error, "attempts", 1),
        run_id=run.run_id,
    )


def decide(
    asked: TaskResult | BaseChatMessage,
    decision: str,
    *,
    message: str | None = None,
    output: Any = None,
    step: str | None = None,
) -> HandoffMessage:
    """A person's answer to the question that stopped a run: the task of the next `run`.

    Args:
        asked: What the run returned, or its question.
        decision: "approve", "reject", or "edit".
        message: Why; with "reject" it is the error's explanation.
        output: With "edit": what the agent is to have said.
        step: Whose answer it is about, where the run asks about several; give `run` the list of
            all decisions then.

    Raises:
        PolicyError: Nothing was asked, or there is no such decision.
    """
    question = _question(asked, step)
    if decision not in ALLOWED:
        raise PolicyError(f"decide: {decision!r}; it is one of {', '.join(ALLOWED)}")
    if decision == "edit" and output is None:
        raise PolicyError("decide: 'edit' needs output=, what the agent is to have said")
    said = {"type": decision, "message": message, "output": output}
    step, run_id = question.metadata[GOTO], question.metadata[RUN]
    return HandoffMessage(
        content=f"A person decided about {step}'s answer: {decision}.",
        source="user",
        target=step,
        metadata={
            MARK: "decision",
            GOTO: step,
            RUN: run_id,
            DECISION: json.dumps(said, default=text_of),
        },
    )


def _question(asked: TaskResult | BaseChatMessage, step: str | None) -> BaseChatMessage:
    """The question that is answered.

    Raises:
        PolicyError: There is none, or it is not clear which.
    """
    messages = asked.messages if isinstance(asked, TaskResult) else [asked]
    found = {m.metadata[GOTO]: m for m in messages if REQUEST in m.metadata}
    if not found:
        raise PolicyError("decide: the run asked nothing: it has no question of ours")
    if step is None and len(found) > 1:
        raise PolicyError(f"decide: the run asks about {', '.join(found)}; say which with step=")
    if step is not None and step not in found:
        raise PolicyError(f"decide: the run asks about {', '.join(found)}, not about {step!r}")
    question = found[step or next(iter(found))]
    assert isinstance(question, BaseChatMessage)
    return question


def decided(question: Question, decision: BaseChatMessage) -> Question:
    """The question with its answer."""
    return replace(question, decided=json.loads(decision.metadata[DECISION]))

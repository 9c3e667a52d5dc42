"""What a run leaves for the `run` that continues it, in this process or in another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autogen_agentchat.messages import BaseChatMessage

from coord_plugins import PolicyError, Run

from ._human import Question, decided
from ._messages import DECISION


@dataclass
class Kept:
    """What a run leaves for the one that continues it."""

    run: Run | Mapping[str, Any]
    """The run, or what a saved state holds of it."""
    inputs: Any
    """The run's input: the task of the first `run`."""
    starts: list[str]
    """The agents that START stands for."""
    questions: dict[str, Question] = field(default_factory=dict)
    """What a person is asked, by agent."""
    waits: bool = False
    """Whether an agent of the user's handed over to a person, whose answer goes on."""

    @property
    def durable(self) -> Mapping[str, Any]:
        """What the core's `restore` needs."""
        return self.run.durable() if isinstance(self.run, Run) else self.run

    def goes_on(self, task: Any) -> bool:
        """Whether a `run` with this task continues the run."""
        return task is None or self.waits or bool(_decisions(task))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        durable = {k: _plain(v) if k[:2] == "o:" else v for k, v in self.durable.items()}
        return {
            "durable": durable,
            "inputs": _plain(self.inputs),
            "starts": self.starts,
            "questions": [question.to_dict() for question in self.questions.values()],
            "waits": self.waits,
        }

    @classmethod
    def of(cls, said: Mapping[str, Any] | None, messages: Any) -> Kept | None:
        """What `to_dict` gave; None for a state without it.

        Args:
            said: The state's part.
            messages: AutoGen's factory of messages.

        Raises:
            PolicyError: It is not what `to_dict` gives.
        """
        if said is None:
            return None
        try:
            return cls._read(said, messages)
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(
                f"the state's 'coord' part cannot be read ({error!r}); load a state as "
                "save_state() gave it, or leave 'coord' out to begin a new run"
            ) from error

    @classmethod
    def _read(cls, said: Mapping[str, Any], messages: Any) -> Kept:
        said["durable"]["run"]["id"]  # what a run that goes on cannot do without
        asked = [{**q, "candidate": messages.create(q["candidate"])} for q in said["questions"]]
        questions = {question["step"]: Question(**question) for question in asked}
        return cls(said["durable"], said["inputs"], said["starts"], questions, said["waits"])


def answered(kept: Kept | None, task: Any) -> dict[str, Question]:
    """The questions of the run before, each with the answer that the task has for it.

    Raises:
        PolicyError: The task answers a question that was not asked, or not by this run.
    """
    questions = {} if kept is None else dict(kept.questions)
    for message in _decisions(task):
        for step, question in questions.items():
            if question.answers(message):
                questions[step] = decided(question, message)
                break
        else:
            raise PolicyError(
                "the decision answers a question that this team's last run did not ask; load the "
                "state that was saved after the run that asked"
            )
    return questions


def _decisions(task: Any) -> list[BaseChatMessage]:
    messages = task if isinstance(task, list) else [task]
    return [m for m in messages if isinstance(m, BaseChatMessage) and DECISION in m.metadata]


def _plain(value: Any) -> Any:
    """A value as JSON holds it; what it cannot hold (an image) as text."""
    return json.loads(json.dumps(value, default=_dumped))


def _dumped(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return str(value) if dump is None else dump(mode="json")

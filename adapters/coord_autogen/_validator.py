"""`ValidatorAgent`: a validator that is a participant of the chat, for everybody to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, StopMessage, TextMessage
from autogen_core import CancellationToken, Component
from pydantic import BaseModel
from typing_extensions import Self

from coord_plugins import HUMAN, PolicyError, ValidationEdge, Verdict
from coord_plugins.host import Accept, Again, Step

from ._host import Passing
from ._messages import ATTEMPT, FROM, GOTO, STANDS_FOR, TARGET, VERDICT, is_answer, neutral
from ._session import OWNERS
from ._solo import Judges, named
from ._visit import Visit


class ValidatorAgentConfig(BaseModel):
    """The declarative form of a `ValidatorAgent`."""

    name: str
    validators: list[str]
    watches: list[str]
    description: str
    back_to: list[str] = []
    max_attempts: int | None = None
    otherwise: str | None = None


class ValidatorAgent(BaseChatAgent, Component[ValidatorAgentConfig]):
    """Judges the answers of the agents that it watches, in turns of its own.

    `attach` gives it the word after each of their answers, and gives the word back to the agent
    whose answer failed. Its message says the verdict in words, and in its metadata for programs
    (`verdict_of`). The answers that it judges have been published: to keep a rejected answer from
    the other agents, give `attach` an edge or use `validated` instead.
    """

    component_type = "agent"
    component_config_schema = ValidatorAgentConfig
    component_provider_override = "coord_autogen.ValidatorAgent"

    def __init__(
        self,
        name: str,
        *validators: Judges,
        watches: str | Sequence[str],
        description: str = "Checks the answers of the others.",
        back_to: Any = (),
        max_attempts: int | None = None,
        otherwise: Any = None,
    ) -> None:
        """Make a validator.

        Args:
            name: Its name in the chat and in records.
            *validators: As for `ValidationEdge`; or "module:name" of one, which can be declared.
            watches: The agent whose answers it judges, or several.
            description: What a model that selects speakers is told.
            back_to: The ladder of agents to which a rejection goes; default: whose answer it was.
            max_attempts: Judged answers in a row, the first included; default: as for
                `ValidationEdge`.
            otherwise: When they are spent: an agent that stands in, STOP, or None:
                `AttemptsExhaustedError`.

        Raises:
            PolicyError: It watches nobody, or a setting that cannot hold.
        """
        super().__init__(name, description)
        one = isinstance(watches, str) or hasattr(watches, "name")
        said: Any = [watches] if one else list(watches)
        self.watches: tuple[str, ...] = tuple(getattr(w, "name", w) for w in said)
        if not self.watches:
            raise PolicyError(f"ValidatorAgent {name!r}: watches= names no agent")
        if otherwise == HUMAN:
            raise PolicyError(
                f"ValidatorAgent {name!r}: otherwise=HUMAN; the answer that it judges is out in "
                "the chat already; give attach an edge on its author for that"
            )
        self._declared = validators
        self._settings = {"max_attempts": max_attempts, "otherwise": otherwise}
        self._back_to = back_to
        chain = [named(v) for v in validators]
        self.edges: dict[str, ValidationEdge] = {
            watched: ValidationEdge(
                self.step_for(watched), *chain, back_to=back_to or watched, **self._settings
            )
            for watched in self.watches
        }

    def step_for(self, watched: str) -> str:
        """The step's name in records: the validator's own, with whom it judges if several."""
        return self.name if len(self.watches) == 1 else f"{self.name}[{watched}]"

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """A verdict is text with metadata."""
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        """What it says where nothing is judged: in an attached team whose mode is "off".

        Raises:
            PolicyError: Its team is not attached.
        """
        if OWNERS in self.__dict__:
            said = TextMessage(
                content="Nothing is judged: the mode is off.",
                source=self.name,
                metadata={VERDICT: "passed", TARGET: ",".join(self.watches)},
            )
            return Response(chat_message=said)
        raise PolicyError(
            f"ValidatorAgent {self.name!r} works in an attached team: attach(team, pipeline=...)"
        )

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """It keeps nothing of its own: what it counts is the run's."""

    def _to_config(self) -> ValidatorAgentConfig:
        for said in self._declared:
            if not isinstance(said, str):
                raise PolicyError(
                    f"ValidatorAgent {self.name!r}: {said!r} cannot be declared; give it as "
                    "'module:name'"
                )
        ladder = [self._back_to] if isinstance(self._back_to, str) else list(self._back_to)
        return ValidatorAgentConfig(
            name=self.name,
            validators=[str(v) for v in self._declared],
            watches=list(self.watches),
            description=self.description,
            back_to=[getattr(target, "name", target) for target in ladder],
            **self._settings,
        )

    @classmethod
    def _from_config(cls, config: ValidatorAgentConfig) -> Self:
        said = config.model_dump(exclude={"name", "validators"})
        return cls(config.name, *config.validators, **said)


class Judging(Visit):
    """A turn of a `ValidatorAgent`: its candidate is the answer that it judges."""

    watched: BaseChatMessage | None = None

    @property
    def step_name(self) -> str:
        """The step's name in records."""
        agent: ValidatorAgent = self.agent
        watched = self._judged()
        return agent.step_for(agent.watches[0] if watched is None else watched.source)

    def _judged(self) -> BaseChatMessage | None:
        """The latest answer of those that it watches."""
        if self.watched is None:
            for message in reversed(self.messages):
                if message.source in self.agent.watches and is_answer(message):
                    self.watched = message
                    break
        return self.watched

    async def _execute(self, step: Step) -> Any:
        watched = self._judged()
        if watched is None:
            said = TextMessage(content="There is nothing to judge.", source=self.name)
            raise Passing(Response(chat_message=said))
        self.response = Response(chat_message=watched)
        self.session.uncovered.pop(watched.source, None)
        return neutral(watched)

    def _close_attempt(self) -> None:
        """The draft was published by its author: there is nothing to take back."""

    def _accepted(self, decision: Accept) -> Response:
        watched = self.response.chat_message
        self.session.run.outputs[watched.source] = neutral(watched)
        observed = self.event is not None and self.event.would_reject
        words = "would have been rejected" if observed else "passed"
        return self._said("passed", f"{watched.source}'s answer {words}.")

    def _back(self, decision: Again) -> Response:
        watched = self.response.chat_message
        targets = self.session.resolve(decision.target)
        said = f"{watched.source}'s answer was rejected. {decision.feedback}"
        return self._said("rejected", said, **{GOTO: ",".join(targets), FROM: self.name})

    def _said(self, verdict: str, words: str, **more: str) -> Response:
        metadata = {
            VERDICT: verdict,
            TARGET: self.response.chat_message.source,
            ATTEMPT: str(self.event.attempt if self.event is not None else 1),
            **more,
        }
        return Response(
            chat_message=TextMessage(content=words, source=self.name, metadata=metadata)
        )

    def _in_place(self, message: BaseChatMessage, of: str) -> BaseChatMessage:
        """What stands in for a rejected answer takes the place of its author's."""
        source = self.response.chat_message.source
        said = {**message.metadata, STANDS_FOR: of}
        return message.model_copy(update={"source": source, "metadata": said})


def verdict_of(message: BaseAgentEvent | BaseChatMessage) -> Verdict | None:
    """The verdict that a message of a `ValidatorAgent` carries; None for any other message.

    Its `name` is the validator's, its `label` "passed" or "rejected".
    """
    said = message.metadata.get(VERDICT)
    if said is None or TARGET not in message.metadata:
        return None
    words = message.content if isinstance(message, TextMessage) else None
    passing = said == "passed"
    return Verdict(
        passed=passing, name=message.source, label=said, explanation=None if passing else words
    )


def passed(message: BaseChatMessage) -> bool:
    """Whether a message is a verdict that passed: a condition for a graph's edge."""
    return message.metadata.get(VERDICT) == "passed"


class VerdictTerminationConfig(BaseModel):
    """The declarative form of a `VerdictTermination`."""

    sources: list[str] | None = None


class VerdictTermination(TerminationCondition, Component[VerdictTerminationConfig]):
    """Ends the chat when a validator of the chat lets an answer pass."""

    component_config_schema = VerdictTerminationConfig
    component_provider_override = "coord_autogen.VerdictTermination"

    def __init__(self, sources: Sequence[str] | None = None) -> None:
        """Make the condition.

        Args:
            sources: Whose answer must pass; None: anybody's.
        """
        self._sources = None if sources is None else list(sources)
        self._terminated = False

    @property
    def terminated(self) -> bool:
        """Whether it has fired."""
        return self._terminated

    async def __call__(
        self, messages: Sequence[BaseAgentEvent | BaseChatMessage]
    ) -> StopMessage | None:
        """Look at what was said in a turn."""
        for message in messages:
            about = message.metadata.get(TARGET)
            wanted = self._sources is None or about in self._sources
            if isinstance(message, BaseChatMessage) and passed(message) and wanted:
                self._terminated = True
                words = f"{about}'s answer passed"
                return StopMessage(content=words, source="VerdictTermination")
        return None

    async def reset(self) -> None:
        """Forget that it has fired."""
        self._terminated = False

    def _to_config(self) -> VerdictTerminationConfig:
        return VerdictTerminationConfig(sources=self._sources)

    @classmethod
    def _from_config(cls, config: VerdictTerminationConfig) -> Self:
        return cls(config.sources)

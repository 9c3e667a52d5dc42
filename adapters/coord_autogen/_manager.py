"""The manager of an attached team: AutoGen's own, with the word given back after a rejection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from autogen_agentchat.base import TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, HandoffMessage, StopMessage
from autogen_agentchat.teams import BaseGroupChat, GraphFlow, RoundRobinGroupChat, Swarm
from autogen_core import AgentId

from coord_plugins.host import attached_class

from ._graph import reopen
from ._limits import leaves
from ._messages import FROM, GOTO, NOTE, STANDS_FOR, is_answer, unsaid
from ._private import BaseGroupChatManager
from ._session import Session, session_of

Thread = Sequence[BaseAgentEvent | BaseChatMessage]
TEAM = "_coord_team"
"""Where a manager keeps its team."""


class AttachedManager(BaseGroupChatManager or object):  # type: ignore[misc]  # private
    """Mixed into the class of a team's manager; without a run it does nothing."""

    if TYPE_CHECKING:
        _coord_team: BaseGroupChat

    async def select_speaker(self, thread: Thread) -> list[str] | str:
        """The agent that a note names; else AutoGen's own choice, the user's function included."""
        bare = super().select_speaker
        session = session_of(self._coord_team)
        if session is None:
            found: list[str] | str = await bare(thread)
            return found
        with session.within():
            return await _next_speakers(self, session, thread, bare)

    async def update_message_thread(self, messages: Thread) -> None:
        """As AutoGen's own; a graph's nodes on the way of a loop-back become ready again."""
        last = messages[-1] if messages else None
        targets = [target for message in messages for target in targets_of(message)]
        if targets and isinstance(self._coord_team, GraphFlow):
            # a visible validator is a node: its rejection must not start what follows a pass
            await BaseGroupChatManager.update_message_thread(self, messages)
            reopen(self, _speaker(self, last), targets)
        else:
            await super().update_message_thread(messages)

    async def _apply_termination_condition(
        self, delta: Thread, increment_turn_count: bool = False
    ) -> bool:
        bare = super()._apply_termination_condition
        session = session_of(self._coord_team)
        if session is None:
            return bool(await bare(delta, increment_turn_count))
        with session.within():
            return bool(await bare(delta, increment_turn_count))

    async def _orchestrate_step(self, cancellation_token: Any) -> None:
        bare = super()._orchestrate_step
        session = session_of(self._coord_team)
        if session is None:
            await bare(cancellation_token)
            return
        with session.within():
            await bare(cancellation_token)


async def adopt(team: BaseGroupChat) -> Any:
    """Attach a team's manager, which AutoGen makes with its first run; returns it."""
    if not team._initialized:
        await team._init(team._runtime)
    address = AgentId(type=team._group_chat_manager_topic_type, key=team._team_id)
    manager: Any = await team._runtime.try_get_underlying_agent_instance(address)
    if not isinstance(manager, AttachedManager):
        manager.__class__ = attached_class(AttachedManager, type(manager))
        manager.__dict__[TEAM] = team
        manager._termination_condition = Termination(manager._termination_condition, team)
    return manager


def targets_of(message: Any) -> list[str]:
    """The agents to which a message gives the word."""
    said = message.metadata.get(GOTO) if message is not None else None
    return said.split(",") if said else []


def _speaker(manager: Any, message: Any) -> str | None:
    """The node whose turn ended with a note: the note says it, or signs it."""
    if message.source in manager._graph.nodes:
        return str(message.source)
    said: str | None = message.metadata.get(FROM)
    return said


async def _next_speakers(
    manager: Any, session: Session, thread: Thread, bare: Callable[[Thread], Awaitable[Any]]
) -> list[str] | str:
    team, last = manager._coord_team, thread[-1] if thread else None
    targets = targets_of(last)
    kind = session.tree.kind_of(team)
    if kind is GraphFlow:
        ready: list[str] = await bare(thread)  # a note has made its targets ready
        return ready
    if targets:
        _turn_to(manager, targets[0])
        return targets[:1]
    watcher = _watcher(session, last) if session.watchers else None
    if watcher is not None:
        return [watcher]
    if kind is Swarm and _has_the_word_back(thread):
        return [manager._current_speaker]
    said: list[str] | str = await bare(thread)
    left_out = session.left_out
    if left_out and kind is RoundRobinGroupChat:
        for _ in manager._participant_names:
            names = [said] if isinstance(said, str) else said
            if names[0] not in left_out:
                break
            said = await bare(thread)
    return said


def _watcher(session: Session, message: Any) -> str | None:
    """The validator of the chat that must judge a message before anybody else speaks."""
    if not isinstance(message, BaseChatMessage) or STANDS_FOR in message.metadata:
        return None
    return session.watchers.get(message.source) if is_answer(message) else None


def _has_the_word_back(thread: Thread) -> bool:
    """Whether a rejection gave the word to somebody who has not handed it over since.

    A swarm would look for the last handoff, which is the one before the rejection.
    """
    for message in reversed(thread):
        if targets_of(message):
            return True
        if isinstance(message, HandoffMessage):
            return False
    return False


def _turn_to(manager: Any, name: str) -> None:
    """Move a manager's memory of whose turn it is, as if it had chosen by itself."""
    if hasattr(manager, "_next_speaker_index"):
        names = manager._participant_names
        manager._next_speaker_index = (names.index(name) + 1) % len(names)
    for memory in ("_previous_speaker", "_current_speaker"):
        if hasattr(manager, memory):
            setattr(manager, memory, name)


class Termination(TerminationCondition):
    """Asks the user's own condition, notes what ended the chat, and can stop it by itself."""

    def __init__(self, inner: TerminationCondition | None, team: BaseGroupChat) -> None:
        self.inner = inner
        self._team = team

    @property
    def terminated(self) -> bool:
        """Whether the user's own has fired."""
        return self.inner is not None and self.inner.terminated

    async def __call__(self, messages: Thread) -> StopMessage | None:
        """As AutoGen's own."""
        session = session_of(self._team)
        if session is not None and (session.stopped or session.questions):
            why = session.stopped or f"{', '.join(session.questions)} waits for a person"
            return StopMessage(content=why, source=NOTE)
        if self.inner is None:
            return None
        found = await self.inner(unsaid(messages))
        if found is not None and session is not None:
            session.ended_by = [c for c in leaves(self.inner) if c.terminated]
        return found

    async def reset(self) -> None:
        """As AutoGen's own."""
        if self.inner is not None:
            await self.inner.reset()

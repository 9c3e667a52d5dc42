"""The attached team: AutoGen's own class, with every run a run of the core's."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import HandoffTermination
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage
from autogen_agentchat.teams import BaseGroupChat, GraphFlow
from autogen_core import CancellationToken

from coord_plugins import END, CoordWarning
from coord_plugins.host import COORD, Coord, coord_of, is_attached

from ._client import own_error
from ._end import Ending, final_answer
from ._graph import resumable
from ._kept import Kept, answered
from ._limits import limit_error
from ._manager import adopt, targets_of
from ._messages import inputs_of, is_note, neutral
from ._pump import pumped
from ._session import SESSION, Session, session_of
from ._tree import Tree
from .errors import TeamUnusableError

TREE = "_coord_tree"
"""Where an attached team keeps what belongs to it."""
KEPT = "_coord_kept"
"""Where it keeps what its next `run` without a task continues."""
WATCHERS = "_coord_watchers"
"""Where it keeps who watches whom."""


class AttachedTeam(BaseGroupChat):
    """Mixed into the class of an attached team, and of the teams inside it.

    `run`, `Console` and the containers of AutoGen all go through `run_stream`.
    """

    if TYPE_CHECKING:
        _is_running: bool
        _graph: Any
        _group_chat_manager_name: str
        _message_factory: Any

    @property
    def coord(self) -> Coord:
        """Results and settings of this pipeline."""
        return coord_of(self)

    async def run_stream(
        self,
        *,
        task: Any = None,
        cancellation_token: CancellationToken | None = None,
        output_task_messages: bool = True,
    ) -> AsyncGenerator[Any, None]:
        """As AutoGen's own; each call is a run, or goes on with the one before."""
        bare = super().run_stream
        begun = None
        if SESSION in self.__dict__:  # it may not have come to AutoGen's own check
            raise ValueError("The team is already running: give each run a team of its own.")
        if is_attached(self) and not self._is_running:
            begun = Begun.of(self, task, cancellation_token)
        if begun is None:
            _refuse_unusable(self)
            options = {
                "task": self._shown(task),
                "cancellation_token": cancellation_token,
                "output_task_messages": output_task_messages,
            }
            stream = bare(**options)
        else:
            found = begun

            def work(emit: Callable[[Any], None]) -> Any:
                return found.through(emit, bare, task, output_task_messages)

            stream = pumped(work, lambda _: found.session.token.cancel())
        async with aclosing(stream) as items:
            async for item in items:
                yield item

    def _shown(self, task: Any) -> Any:
        """A task without the notes of the team around this one."""
        if isinstance(task, list) and session_of(self) is not None:
            return [m for m in task if not is_note(m)] or None
        return task

    async def save_state(self) -> Mapping[str, Any]:
        """As AutoGen's own, with what the next process needs to go on with this run."""
        state = await super().save_state()
        kept: Kept | None = self.__dict__.get(KEPT)
        return state if kept is None else {**state, "coord": kept.to_dict()}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """As AutoGen's own; a state that a plain team saved is taken as well.

        Raises:
            PolicyError: The state's part of a run cannot be read; nothing was loaded.
        """
        kept = Kept.of(state.get("coord"), self._message_factory) if is_attached(self) else None
        if isinstance(self, GraphFlow):
            state = resumable(state, self._graph, self._group_chat_manager_name)
        await super().load_state(state)
        if is_attached(self):
            self.__dict__[KEPT] = kept

    async def reset(self) -> None:
        """As AutoGen's own; the next run is a new one."""
        await super().reset()
        if not self.__dict__.get(SESSION):
            self.__dict__.pop(KEPT, None)


class Begun:
    """A run of an attached team that has begun."""

    def __init__(self, team: Any, coord: Coord, session: Session) -> None:
        self.team = team
        self.coord = coord
        self.session = session

    @classmethod
    def of(cls, team: Any, task: Any, token: CancellationToken | None) -> Begun | None:
        """Begin; None when the mode is "off".

        A run without a task, and one whose task is a person's answer, continue the run before.

        Raises:
            PolicyError: The answer is to a question that was not asked.
        """
        coord: Coord = team.__dict__[COORD]
        tree: Tree = team.__dict__[TREE]
        kept: Kept | None = team.__dict__.get(KEPT)
        questions = answered(kept, task)
        if kept is not None and not kept.goes_on(task):
            kept = None
        durable = kept.durable if kept is not None else {}
        inputs = inputs_of(task) if kept is None else kept.inputs
        run_id = durable["run"]["id"] if durable else None
        run = coord.start(inputs, is_async=True, run_id=run_id)
        if run is None:
            return None
        session = team.__dict__[SESSION] = Session(run, tree, CancellationToken())
        if token is not None:
            session.linked.append(session.token.cancel)
            token.add_callback(partial(_cancel, session.linked))
        session.watchers = team.__dict__.get(WATCHERS, {})
        if kept is not None:
            run.restore(durable)
            if kept.starts:
                run.entries = frozenset(kept.starts)
            session.waiting = questions
        return cls(team, coord, session)

    async def through(
        self, emit: Callable[[Any], None], bare: Any, task: Any, output_task_messages: bool
    ) -> None:
        """Run the team from its start to its outcome."""
        session, team = self.session, self.team
        error: BaseException | None = None
        result = TaskResult(messages=[])
        try:
            with session.within():
                for one in session.tree.teams:
                    session.managers[id(one)] = await adopt(one)
                    _refuse_unusable(one)
                result = await self._result(emit, bare, task, output_task_messages)
        except BaseException as raised:  # noqa: BLE001 - it is raised again, as it was
            was = session.original(raised) if isinstance(raised, Exception) else raised
            error = own_error(was)
            if session.fatal is not None and not isinstance(raised, GeneratorExit):
                error = session.fatal
        finally:
            team.__dict__.pop(SESSION, None)
            session.over()
            run = session.run
            kept = Kept(run, run.inputs, sorted(run.entries), session.questions)
            team.__dict__[KEPT] = kept
        if error is not None:
            await self.coord.afinish(session.run, error=error)
            raise error
        await self._finish(result)
        emit(result)

    async def _result(
        self, emit: Callable[[Any], None], bare: Any, task: Any, output_task_messages: bool
    ) -> TaskResult:
        session = self.session
        options: dict[str, Any] = {
            "cancellation_token": session.token,
            "output_task_messages": output_task_messages,
        }
        if END in session.run.policy.edges:
            return await Ending(session, self.team, bare, task, emit).run(**options)
        result = TaskResult(messages=[])
        async with aclosing(bare(task=task, **options)) as items:
            async for item in items:
                if isinstance(item, TaskResult):
                    result = item
                else:
                    emit(item)
        if result.stop_reason == "The group chat is stopped.":
            raise session.errors[-1] if session.errors else TeamUnusableError(_UNUSABLE)
        return result

    async def _finish(self, result: TaskResult) -> None:
        """End the run as AutoGen ended the chat."""
        session, run = self.session, self.session.run
        answer = final_answer(result)
        output = None if session.stopped or answer is None else neutral(answer)
        if session.stopped:
            for manager in session.managers.values():
                if hasattr(manager, "_reset_execution_state"):
                    manager._reset_execution_state()
        limit = None if session.stopped else limit_error(self.team, result, session.ended_by)
        kept: Kept = self.team.__dict__[KEPT]
        kept.waits = self._waits_for_a_person(result)
        if session.questions or kept.waits or (limit is None and _unanswered(result)):
            run.pause()
            return
        if session.uncovered:
            run.unjudged = _unjudged(session.uncovered)
            warnings.warn(f"run {run.run_id}: {run.unjudged}", CoordWarning, stacklevel=2)
        await self.coord.afinish(run, output, limit)

    def _waits_for_a_person(self, result: TaskResult) -> bool:
        """Whether an agent's own handoff to somebody outside ended the chat."""
        last = result.messages[-1] if result.messages else None
        outside = isinstance(last, HandoffMessage) and last.target not in self.session.tree.agents
        by_it = any(isinstance(c, HandoffTermination) for c in self.session.ended_by)
        return outside and by_it


def _unanswered(result: TaskResult) -> set[str]:
    """The agents that a rejection gave the word, and that have not spoken since."""
    waiting: set[str] = set()
    for message in result.messages:
        if isinstance(message, BaseChatMessage):
            waiting.discard(message.source)
            waiting.update(targets_of(message))
    return waiting


_UNUSABLE = (
    "AutoGen has left this team unusable, after an exception or a cancellation; build a new team "
    "and load the state that was saved before the run that failed"
)


def _cancel(linked: list[Callable[[], None]]) -> None:
    for cancel in list(linked):
        cancel()


def _refuse_unusable(team: Any) -> None:
    """Refuse a team that waits for an agent which will never answer.

    Raises:
        TeamUnusableError: It does; run, it would return at once as if it had done its work.
    """
    session = session_of(team)
    manager = session.managers.get(id(team)) if session is not None else None
    if manager is not None and manager._active_speakers and not team._is_running:
        who = ", ".join(manager._active_speakers)
        raise TeamUnusableError(f"{_UNUSABLE} (it still waits for {who})")


def _unjudged(uncovered: Mapping[str, str]) -> str:
    said = [f"no verdict of {v} on the last answer of {agent}" for agent, v in uncovered.items()]
    return "; ".join(said)

"""`Session`: one run of an attached team, from its start to how it ended."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autogen_agentchat.messages import BaseChatMessage, StructuredMessage
from autogen_agentchat.teams import BaseGroupChat, MagenticOneGroupChat
from autogen_core import CancellationToken

from coord_plugins import START, Run
from coord_plugins.host import activate

from ._messages import is_note
from ._tree import Tree

if TYPE_CHECKING:
    from ._human import Question

OWNERS = "_coord_owners"
"""Where an agent or inner team keeps the attached teams that it belongs to."""
SESSION = "_coord_session"
"""Where an attached team keeps its run under way."""
at_work: ContextVar[Any] = ContextVar("coord_autogen_at_work", default=None)
"""The agent whose own code runs: its `on_messages` is not another turn."""
current: ContextVar[Session | None] = ContextVar("coord_autogen_session", default=None)


class Session:
    """One run of a team.

    Attributes:
        run: The core's run.
        tree: The team's agents, inner teams and model clients.
        token: Cancels the run's work.
        errors: What was raised in turns, as it was: AutoGen keeps the text alone.
        fatal: What was raised that is no `Exception`: an interrupt, a cancellation.
        stopped: Why the run ends without an answer (`STOP`).
        questions: What a person is asked, by agent.
        waiting: What a person was asked by the run before, with the answers that came.
        ended_by: The termination conditions that ended the chat.
        trail: The agents that spoke, in order.
        uncovered: Watched agents whose last answer no validator has judged.
        watchers: The validator that watches an agent.
        managers: The manager of each team, by `id` of the team.
        linked: What the user's own token cancels; emptied at the end, since that token may live on.
        told: The rejections of which an agent has been told: it keeps its history.
    """

    def __init__(self, run: Run, tree: Tree, token: CancellationToken) -> None:
        self.run = run
        self.tree = tree
        self.token = token
        self.errors: list[Exception] = []
        self.fatal: BaseException | None = None
        self.stopped: str | None = None
        self.questions: dict[str, Question] = {}
        self.waiting: dict[str, Question] = {}
        self.ended_by: list[Any] = []
        self.trail: list[str] = []
        self.uncovered: dict[str, str] = {}
        self.watchers: dict[str, str] = {}
        self.managers: dict[int, Any] = {}
        self.linked: list[Any] = []
        self.told: dict[str, Any] = {}
        self._read: dict[str, int] = {}

    def over(self) -> None:
        """Let go of all that the run's token and the user's hold, which may live on."""
        self.token = CancellationToken()
        self.linked.clear()

    def owns(self, one: Any) -> bool:
        """Whether an agent or team belongs to this run."""
        return id(one) in self.tree.names or id(one) in self.tree.team_ids

    def within(self) -> Within:
        """Inside, this is the run under way; an error is kept as it was."""
        return Within(self)

    def original(self, raised: Exception) -> Exception:
        """The error that AutoGen wrote down as the text of the one that it raised."""
        found, left = raised, self.errors
        while type(found) is RuntimeError:
            text = str(found)
            same = [e for e in left if e is not found and text.startswith(_written(e))]
            if not same:
                break
            found, left = same[-1], left[: left.index(same[-1])]
        return found

    # ------------------------------------------------------------------ turns

    def began(self, name: str) -> None:
        """An agent's turn begins. Who speaks first is the entry where nobody knows it before."""
        self.trail.append(name)
        if not self.run.entries:
            self.run.entries = frozenset([name])

    @cached_property
    def left_out(self) -> set[str]:
        """The agents that have no turn in a normal order."""
        return self.run.policy.stand_ins | set(self.watchers.values())

    def resolve(self, target: str) -> list[str]:
        """The agents that a target of a loop-back stands for."""
        return sorted(self.run.entries) if target == START else [target]

    def rejections_for(self, name: str) -> tuple[tuple[str, int], ...]:
        """The edges that wait for an agent to do better, each with its rejections so far."""
        run = self.run
        mine = {name, START} if name in run.entries else {name}
        waiting = [step for step, state in run.edges.items() if mine.intersection(state.targets)]
        return tuple((step, run.tallies[step].rejects) for step in waiting if step in run.tallies)

    def way(self, target: str) -> int:
        """How many turns it takes from the target to the agent that speaks now."""
        names = self.resolve(target)
        at = [i for i, name in enumerate(self.trail) if name in names]
        return len(self.trail) - at[-1] if at else 2

    def manager_of(self, name: str) -> Any:
        """The manager of the team in which an agent speaks."""
        return self.managers[id(self.tree.team_of[name])]

    def unread(self, name: str) -> list[BaseChatMessage]:
        """What an agent that is not in the normal order has not been shown of the chat."""
        thread = self.manager_of(name)._message_thread
        new, self._read[name] = thread[self._read.get(name, 0) :], len(thread)
        chat = [m for m in new if isinstance(m, BaseChatMessage)]
        return [m for m in chat if m.source != name and not is_note(m)]

    # ------------------------------------------------------------------ messages

    def text_only(self, name: str) -> bool:
        """Whether an agent's team dies of any message but text."""
        return self.tree.kind_of(self.tree.team_of[name]) is MagenticOneGroupChat

    def accept(self, message: Any) -> None:
        """Let the teams take a class of messages that they do not know (AutoGen: an error)."""
        kind = type(message)
        for team in self.tree.teams:
            known = team._message_factory
            if not known.is_registered(kind):
                known.register(kind)


def _written(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class Within:
    """Inside, a session is the run under way; an error that passes is kept as it was."""

    __slots__ = ("_outer", "_run", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outer: Any = None

    def __enter__(self) -> None:
        if current.get() is not self._session:
            self._run = activate(self._session.run)
            self._run.__enter__()
            self._outer = current.set(self._session)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._outer is not None:
            current.reset(self._outer)
            self._run.__exit__()
        if isinstance(error, Exception):
            self._session.errors.append(error)
        elif error is not None:
            # AutoGen's runtime would keep it to itself, and the caller would wait for ever
            self._session.fatal = self._session.fatal or error
            self._session.token.cancel()


def register_models(team: BaseGroupChat, models: list[type]) -> None:
    """Let a team load structured messages of these models from a saved state."""
    for model in models:
        kind = StructuredMessage[model]  # type: ignore[valid-type]  # known at run time
        if not team._message_factory.is_registered(kind):
            team._message_factory.register(kind)


def own(one: Any, root: Any) -> None:
    """Note that an object belongs to an attached team."""
    one.__dict__.setdefault(OWNERS, weakref.WeakSet()).add(root)


def disown(one: Any, root: Any) -> bool:
    """Forget that; returns whether no attached team is left that has it."""
    owners = one.__dict__.get(OWNERS)
    if owners is not None:
        owners.discard(root)
    if owners:
        return False
    one.__dict__.pop(OWNERS, None)
    return True


def session_of(one: Any) -> Session | None:
    """The run under way that an agent, team or manager belongs to.

    The context tells it, but on a runtime of the user's own, which has a context of its own:
    there the attached team that runs tells it.
    """
    found = current.get()
    if found is not None and found.owns(one):
        return found
    for root in one.__dict__.get(OWNERS, ()):
        session: Session | None = root.__dict__.get(SESSION)
        if session is not None and not root._embedded_runtime:
            return session
    return None

"""`validated`: one agent with validators of its own, in any team or in none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from autogen_agentchat.base import ChatAgent
from autogen_core import CancellationToken, Component, ComponentBase, ComponentModel
from pydantic import BaseModel

from coord_plugins import STOP, PolicyError, Run, ValidationEdge, Validator, current_run
from coord_plugins.host import Coord, attached_class, make_policy

from ._host import HOST
from ._session import Session
from ._tree import Tree

if TYPE_CHECKING:
    from ._agent import AttachedAgent

A = TypeVar("A", bound=ChatAgent)
EDGE = "_coord_edge"
"""Where a validated agent keeps its edge."""
DECLARED = "_coord_declared"
"""Where it keeps what `validated` was called with."""
COORD_ALONE = "_coord_alone"
"""Where it keeps what stands behind its turns outside of every run."""
Judges = Validator | Callable[..., Any] | str


def validated(
    agent: A,
    *validators: Judges,
    of: str | Callable[[Any], Any] | None = None,
    max_attempts: int = 2,
    otherwise: str | None = None,
    feedback_to: Any = None,
    stream: Any = "hold",
    mode: Any = None,
) -> A:
    """Judge one agent's answers; ask it again with the reason when one is rejected.

    The agent's own object is changed, and works in any team, as a tool, or alone; in an attached
    team its edge is one of the team's.

    Args:
        agent: The agent.
        *validators: As for `ValidationEdge`; or "module:name" of one, which can be declared.
        of: What they see of the message's content.
        max_attempts: Judged answers, the first included.
        otherwise: When they are spent: STOP (the turn ends with a note and no answer), or None:
            `AttemptsExhaustedError`.
        feedback_to: `callable(messages, feedback) -> messages`; None: one message.
        stream: "hold": what the agent says is not streamed before its verdict; "live": it is.
        mode: "observe" or "off" weaken this agent's edge alone.

    Returns:
        The same agent.

    Raises:
        PolicyError: A setting that cannot hold.
    """
    from ._agent import AttachedAgent

    if not isinstance(agent, ChatAgent):
        raise PolicyError(f"validated: {type(agent).__name__} is no agent; a team is attached")
    if otherwise not in (None, STOP):
        raise PolicyError(
            f"validated: otherwise={otherwise!r}; one agent alone has no other to stand in: STOP "
            "or None, or give the edge to attach"
        )
    edge = ValidationEdge(
        agent.name,
        *[named(v) for v in validators],
        of=of,
        max_attempts=max_attempts,
        otherwise=otherwise,
        feedback_to=feedback_to,
        stream=stream,
        mode=mode,
    )
    if not isinstance(agent, AttachedAgent):
        agent.__class__ = attached_class(AttachedAgent, type(agent))
    agent.__dict__[EDGE] = edge
    agent.__dict__[DECLARED] = validators
    return agent


def named(said: Judges) -> Any:
    """A validator that is given by "module:name", or as it is.

    Raises:
        PolicyError: There is none of that name.
    """
    if not isinstance(said, str):
        return said
    module, _, name = said.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PolicyError(f"the validator {said!r} is not found: {error}") from error


def is_validated(agent: Any) -> bool:
    """Whether an agent has validators of its own."""
    return EDGE in agent.__dict__


def solo(agent: AttachedAgent) -> Session | None:
    """The session of one turn of a validated agent in no attached team; None for any other."""
    if not is_validated(agent):
        return None
    run = _run(agent)
    return None if run is None else Alone(run, agent)


def _run(agent: Any) -> Run | None:
    """The run under way, else one that nobody hears of."""
    try:
        return current_run()
    except LookupError:
        pass
    edge = agent.__dict__[EDGE]
    coord = agent.__dict__.get(COORD_ALONE)
    if coord is None:
        policy = make_policy(edge, pipeline=agent.name)
        coord = agent.__dict__[COORD_ALONE] = Coord(policy, HOST, recorded=False)
    run: Run | None = coord.start(None, is_async=True)
    return run


class Alone(Session):
    """One turn of an agent that belongs to no attached team."""

    def __init__(self, run: Run, agent: Any) -> None:
        tree = Tree(agents={agent.name: agent}, names={id(agent): agent.name})
        super().__init__(run, tree, CancellationToken())

    def text_only(self, name: str) -> bool:
        """Nobody knows the team."""
        return False


class ValidatedAgentConfig(BaseModel):
    """The declarative form of a validated agent."""

    agent: ComponentModel
    validators: list[str]
    of: str | None = None
    max_attempts: int = 2
    otherwise: str | None = None
    stream: str = "hold"
    mode: str | None = None


class ValidatedAgent(ComponentBase[ValidatedAgentConfig], Component[ValidatedAgentConfig]):
    """Loads a validated agent from its declaration; `validated` makes one in code."""

    component_type = "agent"
    component_config_schema = ValidatedAgentConfig
    component_provider_override = "coord_autogen.ValidatedAgent"

    @classmethod
    def _from_config(cls, config: ValidatedAgentConfig) -> Any:
        agent: Any = ChatAgent.load_component(config.agent)
        said = config.model_dump(exclude={"agent", "validators"})
        return validated(agent, *config.validators, **said)


def dumped(agent: Any, bare: ComponentModel) -> ComponentModel:
    """The declaration of an agent, with its validators where it has any.

    Raises:
        PolicyError: A validator, or a setting, was not given in a form that can be declared.
    """
    if not is_validated(agent):
        return bare
    edge, validators = agent.__dict__[EDGE], agent.__dict__[DECLARED]
    for said in validators:
        if not isinstance(said, str):
            raise PolicyError(
                f"validated {agent.name!r}: {said!r} cannot be declared; give it as 'module:name'"
            )
    if callable(edge.of) or edge.feedback_to is not None:
        raise PolicyError(f"validated {agent.name!r}: a callable cannot be declared")
    config = ValidatedAgentConfig(
        agent=bare,
        validators=list(validators),
        of=edge.of,
        max_attempts=edge.max_attempts,
        otherwise=edge.otherwise,
        stream=edge.stream,
        mode=edge.mode,
    )
    return ComponentModel(
        provider=ValidatedAgent.component_provider_override or "",
        component_type="agent",
        version=1,
        component_version=1,
        config=config.model_dump(),
    )

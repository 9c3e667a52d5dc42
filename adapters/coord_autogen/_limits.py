"""AutoGen's own limits: how many turns are left, and whether a limit ended a chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autogen_agentchat.base import (
    AndTerminationCondition,
    OrTerminationCondition,
    TaskResult,
    TerminationCondition,
)
from autogen_agentchat.conditions import (
    MaxMessageTermination,
    TimeoutTermination,
    TokenUsageTermination,
)
from autogen_agentchat.teams import BaseGroupChat, GraphFlow, MagenticOneGroupChat

from .errors import TokenLimitError, TurnLimitError

_LIMITS = (MaxMessageTermination, TimeoutTermination, TokenUsageTermination)


def leaves(condition: Any) -> Iterable[Any]:
    """The single conditions of a combined one."""
    if isinstance(condition, (OrTerminationCondition, AndTerminationCondition)):
        for part in condition._conditions:
            yield from leaves(part)
    elif condition is not None:
        yield condition


def turns_left(manager: Any) -> int | None:
    """Turns after the present one until a limit ends the chat; None: no limit is in sight."""
    found: list[int] = []
    if manager._max_turns is not None and hasattr(manager, "_current_turn"):
        found.append(manager._max_turns - manager._current_turn - 1)
    limits = _binding(manager._termination_condition.inner)
    messages = [limit for limit in limits if isinstance(limit, MaxMessageTermination)]
    found += [limit._max_messages - limit._message_count - 1 for limit in messages]
    return min(found) if found else None


def _binding(condition: Any) -> Iterable[Any]:
    """The conditions each of which ends the chat by itself."""
    if isinstance(condition, OrTerminationCondition):
        for part in condition._conditions:
            yield from _binding(part)
    elif condition is not None and not isinstance(condition, AndTerminationCondition):
        yield condition


def limit_error(
    team: BaseGroupChat, result: TaskResult, ended_by: list[TerminationCondition]
) -> Exception | None:
    """The error that a run's record gets when a limit ended it; None: it ended otherwise.

    Where a limit is the only way in which a chat can end, it is how the chat ends.

    Args:
        team: The team.
        result: What AutoGen returned.
        ended_by: The conditions that ended the chat; none: the team itself did.
    """
    if ended_by and not all(isinstance(c, _LIMITS) for c in ended_by):
        return None
    turns = f"Maximum number of turns {team._max_turns} reached."
    rounds = isinstance(team, MagenticOneGroupChat) and result.stop_reason == "Max rounds reached."
    if not ended_by and not rounds and result.stop_reason != turns:
        return None
    others = [c for c in leaves(team._termination_condition) if not isinstance(c, _LIMITS)]
    if not others and not isinstance(team, (GraphFlow, MagenticOneGroupChat)):
        return None
    reason = str(result.stop_reason)
    if any(isinstance(c, TimeoutTermination) for c in ended_by):
        return TimeoutError(reason)
    if any(isinstance(c, TokenUsageTermination) for c in ended_by):
        return TokenLimitError(reason)
    return TurnLimitError(reason)

"""The adapter's own errors."""

from __future__ import annotations

from coord_plugins import BudgetError, CoordError


class TeamUnusableError(CoordError):
    """AutoGen has left this team object unusable, after an exception or a cancellation.

    Run by itself, it would return 'The group chat is stopped.' as if it had done its work. Build
    a new team, and load the state that was saved before the run that failed.
    """


class TurnLimitError(RecursionError):
    """The record of a run that a limit on turns or messages ended; nobody raises it."""


class TokenLimitError(BudgetError):
    """The record of a run that AutoGen's own limit on tokens ended; nobody raises it."""


class UnreadableReplyError(ConnectionError):
    """A server's reply was no JSON: its transport failed, and no model said anything.

    It stands for its cause, the SDK's JSONDecodeError, while the core decides, for which a parser's
    error is a model's unreadable answer. The caller gets the cause.
    """

"""coord-plugins for AutoGen: `attach` for AgentChat teams, validators that join a chat."""

from importlib import util
from typing import TYPE_CHECKING, Any

if util.find_spec("autogen_agentchat") is None:
    raise ImportError('coord_autogen needs AutoGen: pip install "coord-plugins[autogen]"')

if TYPE_CHECKING:
    from ._attach import attach
    from ._graph import add_validator
    from ._human import decide
    from ._retrying import RetryingChatCompletionClient
    from ._solo import ValidatedAgent, validated
    from ._validator import ValidatorAgent, VerdictTermination, verdict_of
    from .errors import TeamUnusableError

from coord_plugins import retrying, track

__all__ = [
    "RetryingChatCompletionClient",
    "TeamUnusableError",
    "ValidatedAgent",
    "ValidatorAgent",
    "VerdictTermination",
    "add_validator",
    "attach",
    "decide",
    "retrying",
    "track",
    "validated",
    "verdict_of",
]

_LATER = {
    "RetryingChatCompletionClient": "._retrying",
    "TeamUnusableError": ".errors",
    "ValidatedAgent": "._solo",
    "ValidatorAgent": "._validator",
    "VerdictTermination": "._validator",
    "add_validator": "._graph",
    "attach": "._attach",
    "decide": "._human",
    "validated": "._solo",
    "verdict_of": "._validator",
}


def __getattr__(name: str) -> Any:
    """AutoGen takes a second to import: it is imported with the first name that is used."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

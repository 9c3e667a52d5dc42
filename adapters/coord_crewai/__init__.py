"""coord-plugins for CrewAI: `attach` for crews and flows, decorators for flow methods.

CrewAI takes seconds to import, and reads its environment variables while it does; so it is
imported with the first name that is used.
"""

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from coord_plugins import retrying, track, validated

if util.find_spec("crewai") is None:
    raise ImportError('coord_crewai needs CrewAI: pip install "coord-plugins[crewai]"')

if TYPE_CHECKING:
    from ._attach import attach
    from ._events import CoordRejectedEvent
    from ._guardrail import guardrail

__all__ = ["CoordRejectedEvent", "attach", "guardrail", "retrying", "track", "validated"]

_LATER = {
    "CoordRejectedEvent": "._events",
    "attach": "._attach",
    "guardrail": "._guardrail",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

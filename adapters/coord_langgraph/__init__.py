"""coord-plugins for LangGraph: `attach` for compiled graphs, decorators for node functions."""

try:
    import langgraph.graph  # noqa: F401 - the one check that the extra is installed
except ImportError as error:
    raise ImportError(
        'coord_langgraph needs LangGraph: pip install "coord-plugins[langgraph]"'
    ) from error

from coord_plugins import retrying, track, validated

from ._attach import attach

__all__ = ["attach", "retrying", "track", "validated"]

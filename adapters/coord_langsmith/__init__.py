"""coord-plugins for LangSmith: the end-to-end outcome on the root of every trace.

LangSmith's client takes a moment to import, so it is imported with the first name that is used.
"""

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

if util.find_spec("langsmith") is None:
    raise ImportError('coord_langsmith needs LangSmith: pip install "coord-plugins[langsmith]"')

if TYPE_CHECKING:
    from ._listener import LangSmith
    from ._reading import LangSmithReadError, ProjectReport, langsmith_report

__all__ = ["LangSmith", "LangSmithReadError", "ProjectReport", "langsmith_report"]

_LATER = {
    "LangSmith": "._listener",
    "LangSmithReadError": "._reading",
    "ProjectReport": "._reading",
    "langsmith_report": "._reading",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

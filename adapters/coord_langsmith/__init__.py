"""coord-plugins for LangSmith: the end-to-end outcome on the root of every trace.

LangSmith's client takes a moment to import, so it is imported with the first name that is used.
"""

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

if util.find_spec("langsmith") is None:
    raise ImportError('coord_langsmith needs LangSmith: pip install "coord-plugins[langsmith]"')

if TYPE_CHECKING:
    from ._client import bounded_client
    from ._evaluation import E2EEvaluator, e2e_evaluator, e2e_summary
    from ._listener import LangSmith
    from ._offline import aevaluate_offline, evaluate_offline
    from ._offline_result import OfflineResult, OfflineRow
    from ._reading import LangSmithReadError, ProjectReport, langsmith_report

__all__ = [
    "E2EEvaluator",
    "LangSmith",
    "LangSmithReadError",
    "OfflineResult",
    "OfflineRow",
    "ProjectReport",
    "aevaluate_offline",
    "bounded_client",
    "e2e_evaluator",
    "e2e_summary",
    "evaluate_offline",
    "langsmith_report",
]

_LATER = {
    "E2EEvaluator": "._evaluation",
    "LangSmith": "._listener",
    "LangSmithReadError": "._reading",
    "OfflineResult": "._offline_result",
    "OfflineRow": "._offline_result",
    "ProjectReport": "._reading",
    "aevaluate_offline": "._offline",
    "bounded_client": "._client",
    "e2e_evaluator": "._evaluation",
    "e2e_summary": "._evaluation",
    "evaluate_offline": "._offline",
    "langsmith_report": "._reading",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Validation edges, retries and end-to-end outcomes for agent pipelines that already exist."""

import logging
from typing import TYPE_CHECKING, Any

from ._budget import Budget, Usage
from ._bus import flush
from ._classify import classify
from ._clock import Clock, use_clock
from ._config import configure
from ._context import collect_runs, current_run, run_context
from ._coord import Coord
from ._decorators import retrying, validated
from ._edge import END, HUMAN, START, STOP, ValidationEdge
from ._evaluators import from_evaluator, grounded
from ._events import Event, Listener, OutcomeRecorded, RunFinished, RunPaused, RunStarted
from ._label import record_outcome
from ._outcome import OUTCOMES
from ._policy import LATER
from ._record import Note, RunRecord
from ._retry import Breaker, Retry, Throttle
from ._run import Run
from ._schema import schema
from ._step import Step, current_feedback, current_step
from ._tally import Judgement, StepSettled, StepTally
from ._track import StopRun, track
from ._validators import Validator, any_of, check, judge
from ._value import Value
from ._verdict import Handover, Verdict
from .errors import (
    AlreadyAttachedError,
    AsyncValidatorError,
    AttemptsExhaustedError,
    BudgetError,
    BudgetExceededError,
    CircuitOpenError,
    CoordError,
    CoordWarning,
    InvalidOutputError,
    PolicyError,
    StoreError,
    UnknownStepError,
    UnpricedModelError,
    UnsupportedHostError,
    UsageUnavailableError,
    ValidatorError,
)

if TYPE_CHECKING:
    from ._comparing._compare import Comparison, compare
    from ._gating._gate import Gate
    from ._gating._runs import gate
    from ._gating._types import GateResult
    from ._importing._import import BadRow, Imported, import_runs, read_runs
    from ._reporting._measures import Rate
    from ._reporting._report import iter_runs, report
    from ._reporting._types import Group, Report
    from ._store import Store
    from .stats import wilson

__version__ = "0.1.0"

# A library is silent until its user configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "END",
    "HUMAN",
    "LATER",
    "OUTCOMES",
    "START",
    "STOP",
    "AlreadyAttachedError",
    "AsyncValidatorError",
    "AttemptsExhaustedError",
    "BadRow",
    "Breaker",
    "Budget",
    "BudgetError",
    "BudgetExceededError",
    "CircuitOpenError",
    "Clock",
    "Comparison",
    "Coord",
    "CoordError",
    "CoordWarning",
    "Event",
    "Gate",
    "GateResult",
    "Group",
    "Handover",
    "Imported",
    "InvalidOutputError",
    "Judgement",
    "Listener",
    "Note",
    "OutcomeRecorded",
    "PolicyError",
    "Rate",
    "Report",
    "Retry",
    "Run",
    "RunFinished",
    "RunPaused",
    "RunRecord",
    "RunStarted",
    "Step",
    "StepSettled",
    "StepTally",
    "StopRun",
    "Store",
    "StoreError",
    "Throttle",
    "UnknownStepError",
    "UnpricedModelError",
    "UnsupportedHostError",
    "Usage",
    "UsageUnavailableError",
    "ValidationEdge",
    "Validator",
    "ValidatorError",
    "Value",
    "Verdict",
    "__version__",
    "any_of",
    "check",
    "classify",
    "collect_runs",
    "compare",
    "configure",
    "current_feedback",
    "current_run",
    "current_step",
    "flush",
    "from_evaluator",
    "gate",
    "grounded",
    "import_runs",
    "iter_runs",
    "judge",
    "read_runs",
    "record_outcome",
    "report",
    "retrying",
    "run_context",
    "schema",
    "track",
    "use_clock",
    "validated",
    "wilson",
]

_LATER = {
    "BadRow": "._importing._import",
    "Comparison": "._comparing._compare",
    "Gate": "._gating._gate",
    "GateResult": "._gating._types",
    "Group": "._reporting._types",
    "Imported": "._importing._import",
    "Rate": "._reporting._measures",
    "Report": "._reporting._types",
    "Store": "._store",
    "compare": "._comparing._compare",
    "gate": "._gating._runs",
    "import_runs": "._importing._import",
    "iter_runs": "._reporting._report",
    "read_runs": "._importing._import",
    "report": "._reporting._report",
    "wilson": ".stats",
}


def __getattr__(name: str) -> Any:
    """Reports are read after the work: their modules load when they are asked for."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

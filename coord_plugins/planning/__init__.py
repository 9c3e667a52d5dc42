"""Where to put which validation edge: the exact model of a pipeline, and the best plan in it.

The model is described in docs/planning.md. Everything is arithmetic of the standard library.
"""

from ._algebra import Transfer, join, loop, series, step_transfer
from ._apply import edges_source
from ._blocks import closed_block, sticky_block
from ._chain import cost_variance, predict
from ._estimate import rates_from_runs
from ._evidence import (
    Amount,
    Assumption,
    MeasuredStep,
    MeasuredValidator,
    PipelineRates,
    PlannedEdge,
    Share,
)
from ._file import rates_from_file
from ._flat import best_flat, block_transfer, burden, cheapest_flat, flat_front
from ._ladders import LADDERS, search_ladders
from ._plan import plan
from ._rates import EdgeRates, Prediction, StepRates
from ._types import Alternative, Bound, Expected, Figure, Improvement, Plan

__all__ = [
    "LADDERS",
    "Alternative",
    "Amount",
    "Assumption",
    "Bound",
    "EdgeRates",
    "Expected",
    "Figure",
    "Improvement",
    "MeasuredStep",
    "MeasuredValidator",
    "PipelineRates",
    "Plan",
    "PlannedEdge",
    "Prediction",
    "Share",
    "StepRates",
    "Transfer",
    "best_flat",
    "block_transfer",
    "burden",
    "cheapest_flat",
    "closed_block",
    "cost_variance",
    "edges_source",
    "flat_front",
    "join",
    "loop",
    "plan",
    "predict",
    "rates_from_file",
    "rates_from_runs",
    "search_ladders",
    "series",
    "step_transfer",
    "sticky_block",
]

"""The contract between the core and an adapter: everything an adapter may import.

An adapter does four things: it executes the host's step, calls `run_step`/`arun_step` (or, where
the host owns the loop, `settle`/`asettle`), turns the decision into the host's own mechanism,
and passes ids on as strings. It has no policy and no thresholds of its own.
"""

from ._call import declares
from ._config import clean, current_mode
from ._context import activate
from ._coord import Coord
from ._decide import Accept, Again, Decision, Escalate, Fail, Fallback
from ._drive import arun_part, arun_step, asettle, run_step, settle
from ._durable import merge_durable
from ._feedback import get_field, route_feedback, with_field
from ._in_place import COORD, attached_class, bare_class, coord_of, is_attached
from ._policy import Host, Policy, make_policy
from ._private_parts import PrivateParts
from ._run import Run
from ._step import Step
from ._store_spool import Spool
from ._swap import swapped
from ._tracing import RunTrace, Span, Tracer

__all__ = [
    "COORD",
    "Accept",
    "Again",
    "Coord",
    "Decision",
    "Escalate",
    "Fail",
    "Fallback",
    "Host",
    "Policy",
    "PrivateParts",
    "Run",
    "RunTrace",
    "Span",
    "Spool",
    "Step",
    "Tracer",
    "activate",
    "arun_part",
    "arun_step",
    "asettle",
    "attached_class",
    "bare_class",
    "clean",
    "coord_of",
    "current_mode",
    "declares",
    "get_field",
    "is_attached",
    "make_policy",
    "merge_durable",
    "route_feedback",
    "run_step",
    "settle",
    "swapped",
    "with_field",
]

"""The contract between the core and an adapter: everything an adapter may import.

An adapter does four things: it executes the host's step, calls `run_step`/`arun_step` (or, where
the host owns the loop, `settle`/`asettle`), turns the decision into the host's own mechanism,
and passes ids on as strings. It has no policy and no thresholds of its own.
"""

from ._call import declares
from ._context import activate
from ._coord import Coord
from ._decide import Accept, Again, Decision, Escalate, Fail, Fallback
from ._drive import arun_step, asettle, run_step, settle
from ._durable import merge_durable
from ._feedback import get_field, route_feedback, with_field
from ._policy import Host, Policy, make_policy
from ._private_parts import PrivateParts
from ._run import Run
from ._step import Step

__all__ = [
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
    "Step",
    "activate",
    "arun_step",
    "asettle",
    "declares",
    "get_field",
    "make_policy",
    "merge_durable",
    "route_feedback",
    "run_step",
    "settle",
    "with_field",
]

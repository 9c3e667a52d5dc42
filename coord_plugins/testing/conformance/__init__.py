"""The conformance suite: every rule that a host must show, as a test with numbers.

A host's tests subclass it and give it a driver::

    from coord_plugins.testing.conformance import Conformance

    class TestMyHost(Conformance):
        driver = MyDriver()
        excuses = {"test_4_1_8_human": "this host has no way to ask a person"}

Each test is named after a rule of the specification (docs: "semantics") and runs synchronously
and on an event loop.

Writing a driver (see `PlainDriver`, 100 lines):

1. Build the host's pipeline from `case.order`; each step's work is
   `case.call(name, received, feedback)` or `await case.acall(...)`. A host with a state keeps the
   output under `case.place(name)`. Steps of `case.spare` are only reached as stand-ins; after
   one the pipeline goes on with `case.after(name)`.
2. Attach `*case.edges` with `pipeline=`, `goal=case.goal` (which sees the last step's output),
   `retry=case.retries(make)`, `budget=case.budget` and `**case.settings`.
3. Run it once per input of `case.inputs` inside `use_clock(case.clock)` and `collect_runs()`, and
   return `Observed(runs=[Ran(record=..., output=..., error=..., state=...)], log=case.log)`.
   In async runs set `case.task` to the task that awaits the run.
4. `resume` does the same with the host's checkpoints; `pause` raises the host's control flow.

What a host cannot do is excused test by test, by name and with a reason.
"""

import sys

if "pytest" in sys.modules:  # so that a failing assertion shows its values
    _parts = (
        *("_validation", "_validation_errors", "_validation_feedback", "_validation_flow"),
        "_validation_host",
        *("_retrying", "_retrying_fallback", "_outcomes", "_recording"),
    )
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{p}" for p in _parts))

from ._case import Cancelled, Case, Execution, Killed, Observed, Ran
from ._driver import PlainDriver
from ._outcomes import Outcomes
from ._recording import Recording
from ._retrying import Retrying
from ._retrying_fallback import Fallbacks
from ._suite import BAD, GOOD, WORSE, Driver, edge, fine, goal_is
from ._validation import Validation
from ._validation_errors import ValidatorErrors
from ._validation_feedback import Feedback
from ._validation_flow import Flow
from ._validation_host import HostRules


class Conformance(
    Validation,
    ValidatorErrors,
    Feedback,
    Flow,
    HostRules,
    Retrying,
    Fallbacks,
    Outcomes,
    Recording,
):
    """Every rule of the specification; subclass it and set `driver`."""


__all__ = [
    "BAD",
    "GOOD",
    "WORSE",
    "Cancelled",
    "Case",
    "Conformance",
    "Driver",
    "Execution",
    "Fallbacks",
    "Feedback",
    "Flow",
    "HostRules",
    "Killed",
    "Observed",
    "Outcomes",
    "PlainDriver",
    "Ran",
    "Recording",
    "Retrying",
    "Validation",
    "ValidatorErrors",
    "edge",
    "fine",
    "goal_is",
]

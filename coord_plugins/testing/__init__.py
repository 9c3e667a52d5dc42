"""Testing a policy, and testing a host: no model, no waiting, numbers asserted.

- `simulate` runs a policy over scripted steps; `assert_outcome` says what must come out.
- `set_testing` makes retries quick in the tests of your own code; `FakeClock` is a clock that
  only advances when somebody waits.
- `coord_plugins.testing.conformance` is the suite that every host's adapter must pass.
"""

from ._assert import assert_identities, assert_outcome
from ._clock import FakeClock
from ._process import set_testing
from ._script import Act, Call, Script, scripted
from ._simulate import Simulation, simulate

__all__ = [
    "Act",
    "Call",
    "FakeClock",
    "Script",
    "Simulation",
    "assert_identities",
    "assert_outcome",
    "scripted",
    "set_testing",
    "simulate",
]

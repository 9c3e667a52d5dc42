"""Testing a policy, and testing a host: no model, no waiting, numbers asserted.

- `simulate` runs a policy over scripted steps; `assert_outcome` says what must come out.
- `set_testing` makes retries quick in the tests of your own code; `FakeClock` is a clock that
  only advances when somebody waits.
- `langsmith_server` is a strict local server for the real `langsmith.Client`: what was traced,
  what broke a rule of the API, and how your code takes it when the service fails.
- `coord_plugins.testing.conformance` is the suite that every host's adapter must pass.
"""

from typing import TYPE_CHECKING, Any

from ._assert import assert_identities, assert_outcome
from ._clock import FakeClock
from ._process import set_testing
from ._script import Act, Call, Script, scripted
from ._simulate import Simulation, simulate

if TYPE_CHECKING:
    from ._langsmith import LangSmithServer, langsmith_server

__all__ = [
    "Act",
    "Call",
    "FakeClock",
    "LangSmithServer",
    "Script",
    "Simulation",
    "assert_identities",
    "assert_outcome",
    "langsmith_server",
    "scripted",
    "set_testing",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """The local LangSmith server loads an HTTP server: only for those who ask for it."""
    if name in ("LangSmithServer", "langsmith_server"):
        from . import _langsmith

        return getattr(_langsmith, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

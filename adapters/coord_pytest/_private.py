"""Every private part of pytest that the plug-in relies on, and the check that it is there.

Why each is needed:

- `_pytest.runner.call_and_report`: one phase of a test with every hook and without its log; what
  plug-ins that run a test again build on.
- `Function._initrequest`, `_report_sections`, and the instance of a method (`_instance`, before
  pytest 8.2 `_obj`): what a new test has and one that ran before has not.
- `SetupState.teardown_exact` of `Session._setupstate`: tears down what a module and a class share
  when the last trial was torn down before.
- `_pytest._io.TerminalWriter`: a traceback as text, for the first failure.

A name that is gone is an error where the first marked test is collected.
"""

from __future__ import annotations

import pytest

from coord_plugins.host import PrivateParts

PARTS = PrivateParts("coord_pytest", "pytest", "pytest", tested=("8.3.0", "9.0.0", "9.2.0"))

call_and_report = PARTS.name("_pytest.runner", "call_and_report")
TerminalWriter = PARTS.name("_pytest._io", "TerminalWriter")
_setup_state = PARTS.name("_pytest.runner", "SetupState")


def assert_shape() -> None:
    """Check every private shape that the plug-in relies on.

    Raises:
        UnsupportedHostError: One of them changed; names it and the last good version.
    """
    PARTS.check()
    if not hasattr(pytest.Function, "_initrequest"):
        PARTS.refuse("Function._initrequest is gone")
    if not hasattr(_setup_state, "teardown_exact"):
        PARTS.refuse("SetupState.teardown_exact is gone")

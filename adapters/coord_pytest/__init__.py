"""coord-plugins for pytest: `@pytest.mark.reliability` asks how often a test passes.

pytest loads this module in every session. It imports nothing of coord-plugins until a marked test
was collected.
"""

from __future__ import annotations

import warnings

import pytest

__all__: list[str] = []

_MARK = (
    "reliability(min_success=0.95, expected=None, max_trials=400, alpha=0.05, beta=0.05): repeat "
    "the test until it is decided whether it passes more often than min_success"
)
_ENDS = ("fail", "skip", "xfail")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("reliability")
    group.addoption(
        "--reliability-trials",
        type=int,
        metavar="N",
        help="at most N trials of every test with a reliability mark; fewer than its question "
        "needs leave it inconclusive, or rejected",
    )
    group.addoption(
        "--no-reliability",
        action="store_true",
        help="run tests with a reliability mark once, like any other",
    )
    parser.addini(
        "reliability_inconclusive",
        "what an inconclusive reliability test is: fail, skip or xfail (default: fail)",
        default="fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and check what was given."""
    config.addinivalue_line("markers", _MARK)
    ends = config.getini("reliability_inconclusive")
    if ends not in _ENDS:
        raise pytest.UsageError(f"reliability_inconclusive={ends!r}; it is fail, skip or xfail")
    trials = config.getoption("reliability_trials")
    if trials is not None and trials < 1:
        raise pytest.UsageError(f"--reliability-trials={trials}; it is at least 1")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Load what repeats tests, if there is one to repeat."""
    if config.getoption("no_reliability") or config.pluginmanager.has_plugin("coord_trials"):
        return
    if any(item.get_closest_marker("reliability") for item in items):
        config.pluginmanager.register(_trials(config), "coord_trials")


def _trials(config: pytest.Config) -> object:
    """What repeats tests, where this pytest is one that it knows.

    Raises:
        pytest.UsageError: pytest has changed a part that it relies on.
    """
    from coord_plugins import CoordWarning, UnsupportedHostError

    from ._private import PARTS, assert_shape

    try:
        assert_shape()
    except UnsupportedHostError as error:
        raise pytest.UsageError(f"reliability: {error}") from None
    untested = PARTS.finding()
    if untested is not None:
        warnings.warn(CoordWarning(f"reliability: {untested}"), stacklevel=2)
    from ._protocol import Trials

    return Trials(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was found; under pytest-xdist too, where the workers' reports carry it."""
    found = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, _ in getattr(report, "user_properties", ()):
                if name == "reliability_verdict":
                    found[report.nodeid] = dict(report.user_properties)
    if found:
        from ._words import summary

        terminalreporter.section("reliability")
        for line in summary(found):
            terminalreporter.line(line)

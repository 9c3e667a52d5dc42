"""The conformance suite on CrewAI: every rule, plain, streamed and under a manager."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("crewai")

from coord_plugins.testing.conformance import Conformance  # noqa: E402

# pytest's importlib mode has no package for a helper that stands beside its test
_spec = importlib.util.spec_from_file_location(
    "crewai_driver", Path(__file__).with_name("crewai_driver.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module  # pydantic looks its classes' annotations up there
_spec.loader.exec_module(_module)
CrewDriver = _module.CrewDriver

CANNOT = {
    "test_4_1_5_no_route": "a task's context is always a route",
    "test_4_1_8_human_approves": "CrewAI has no way to hand over to a person here: refused",
    "test_4_1_8_human_rejects": "CrewAI has no way to hand over to a person here: refused",
    "test_4_1_10_the_host_limit_exhausts_the_edge": "CrewAI has no limit on the tasks of a run",
    "test_4_1_10_recursion_limit": "CrewAI has no limit on the tasks of a run",
}


class TestSequential(Conformance):
    driver = CrewDriver("plain")
    excuses = CANNOT


class TestStreamed(Conformance):
    driver = CrewDriver("stream")
    excuses = CANNOT | dict.fromkeys(
        (
            "test_4_1_9_loop_back_counters_survive",
            "test_4_1_9_an_in_place_loop_is_atomic",
            "test_4_1_10_cancellation_passes",
            "test_4_2_5_stable_across_a_resume",
            "test_4_3_errors",
        ),
        "a BaseException dies in the thread of CrewAI's stream, and its consumer never hears of it",
    )


class TestHierarchical(Conformance):
    driver = CrewDriver("hierarchical")
    excuses = CANNOT

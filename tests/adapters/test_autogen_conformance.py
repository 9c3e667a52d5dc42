"""The conformance suite on AutoGen: every rule, in each kind of team."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("autogen_agentchat")

from coord_plugins.testing.conformance import Conformance  # noqa: E402

# pytest's importlib mode has no package for a helper that stands beside its test
_spec = importlib.util.spec_from_file_location(
    "autogen_driver", Path(__file__).with_name("autogen_driver.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)
TeamDriver = _module.TeamDriver

CANNOT = {
    "test_4_1_5_no_route": "a message is always a route",
}
ORDER = {
    "test_4_1_10_control_flow_passes": "the order of this kind goes on after a handoff, whoever "
    "answers it, so the agent is not asked again (test_turns.py shows that it passes unjudged)",
}
EARLIER = dict.fromkeys(
    (
        "test_4_1_4_rejected_output_goes_nowhere",
        "test_4_1_5_feedback",
        "test_4_1_5_feedback_to_start",
        "test_4_1_6_counting",
        "test_4_1_6_a_passed_edge_starts_anew",
        "test_4_1_6_a_passed_loop_back_edge_starts_anew",
        "test_4_1_7_loop_back",
        "test_4_1_7_start",
        "test_4_1_7_ladder",
        "test_4_1_9_loop_back_counters_survive",
        "test_4_1_10_the_host_limit_exhausts_the_edge",
        "test_4_1_11_same_counts",
    ),
    "MagenticOne's orchestrator decides who speaks: no earlier target",
)
ANEW = dict.fromkeys(
    (
        "test_4_1_8_human_approves",
        "test_4_1_8_human_rejects",
        "test_4_1_9_an_in_place_loop_is_atomic",
        "test_4_1_10_control_flow_passes",
        "test_4_2_5_stable_across_a_resume",
    ),
    "MagenticOne begins anew with each task and refuses a run without one: nothing resumes",
)


class TestRoundRobin(Conformance):
    driver = TeamDriver("roundrobin")
    async_only = True
    excuses = CANNOT | ORDER


class TestSelector(Conformance):
    driver = TeamDriver("selector")
    async_only = True
    excuses = CANNOT


class TestSwarm(Conformance):
    driver = TeamDriver("swarm")
    async_only = True
    excuses = CANNOT


class TestGraphFlow(Conformance):
    driver = TeamDriver("graph")
    async_only = True
    excuses = CANNOT | ORDER


class TestMagenticOne(Conformance):
    driver = TeamDriver("magentic")
    async_only = True
    excuses = CANNOT | EARLIER | ANEW

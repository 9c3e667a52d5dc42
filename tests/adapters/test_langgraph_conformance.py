"""The conformance suite on LangGraph: every rule on every way to draw the pipeline."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from coord_plugins.testing.conformance import Conformance

# pytest's importlib mode has no package for a helper that stands beside its test
_spec = importlib.util.spec_from_file_location(
    "langgraph_driver", Path(__file__).with_name("langgraph_driver.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
GraphDriver = _module.GraphDriver


class TestStaticEdges(Conformance):
    driver = GraphDriver("static")


class TestConditionalEdges(Conformance):
    driver = GraphDriver("router")


class TestCommands(Conformance):
    driver = GraphDriver("command")


class TestFanOut(Conformance):
    driver = GraphDriver("fanout")
    excuses = dict.fromkeys(
        (
            "test_4_2_3_budget_counts_attempts_tokens_and_time",
            "test_4_2_3_budget_otherwise",
            "test_4_2_3_budget_otherwise_stop",
            "test_4_2_4_throttle",
            "test_4_4_1_events",
            "test_4_4_1_a_listener_that_raises_costs_nothing",
            "test_4_4_1_a_listener_that_blocks_costs_nothing",
        ),
        "the sibling is a step of its own: its execution is counted beside those of the case",
    )


class TestSendWorker(Conformance):
    driver = GraphDriver("send")


class TestSubgraphNodes(Conformance):
    driver = GraphDriver("subgraph")
    excuses = dict.fromkeys(
        ("test_4_1_9_an_in_place_loop_is_atomic", "test_4_2_5_stable_across_a_resume"),
        "a subgraph resumes from its own checkpoint: its finished first attempt is judged again "
        "and not executed again",
    )

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


class TestSendWorker(Conformance):
    driver = GraphDriver("send")


class TestSubgraphNodes(Conformance):
    driver = GraphDriver("subgraph")

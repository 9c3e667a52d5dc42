"""The conformance suite again, traced: following a run changes nothing about it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import langsmith
import pytest
from coord_langsmith import LangSmith

from coord_plugins import configure
from coord_plugins.testing import LangSmithServer, langsmith_server
from coord_plugins.testing.conformance import Conformance, PlainDriver

HERE = Path(__file__).parents[1]


def suite_of(host: str, package: str, name: str) -> Any:
    """A class of a host's own conformance tests; an empty one where the host is absent."""
    if importlib.util.find_spec(package) is None:
        return object
    path = HERE / f"test_{host}_conformance.py"
    spec = importlib.util.spec_from_file_location(f"{host}_conformance_again", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@pytest.fixture
def untraced() -> None:
    """One service for the module, instead of one a test: there are hundreds."""


@pytest.fixture(scope="module")
def service() -> Iterator[LangSmithServer]:
    """Traced to by the environment."""
    langsmith.utils.get_env_var.cache_clear()
    langsmith.utils.get_tracer_project.cache_clear()
    with langsmith_server(allow_pending=True) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        langsmith.configure(client=server.client())
        yield server
        langsmith.configure(client=None)
    langsmith.utils.get_env_var.cache_clear()
    langsmith.utils.get_tracer_project.cache_clear()


@pytest.fixture(autouse=True)
def followed(service: LangSmithServer, tmp_path: Path) -> Iterator[None]:
    """Every run of the test is traced, and LangSmith finds nothing wrong with any."""
    listener = LangSmith(spool=tmp_path / "spool")
    configure(listeners=[listener])
    yield
    listener.flush(10)
    listener.close()
    assert service.problems == []


class TestPlainFunctions(Conformance):
    driver = PlainDriver()
    excuses = dict.fromkeys(
        ("test_4_1_8_human_approves", "test_4_1_8_human_rejects"),
        "plain functions have no way to ask a person",
    )


class TestLangGraph(suite_of("langgraph", "langgraph", "TestStaticEdges")):  # type: ignore[misc]  # made when it is loaded
    pass


class TestAutoGen(suite_of("autogen", "autogen_agentchat", "TestRoundRobin")):  # type: ignore[misc]  # made when it is loaded
    pass


class TestCrewAI(suite_of("crewai", "crewai", "TestSequential")):  # type: ignore[misc]  # made when it is loaded
    pass

"""Every test has its own LangSmith: a strict local server, and no cache of the SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import langsmith
import pytest
from langsmith import run_trees
from langsmith import utils as ls_utils

from coord_plugins import _bus
from coord_plugins.testing import LangSmithServer, langsmith_server


def forget_caches() -> None:
    """What the SDK remembers of the environment and of its global clients."""
    if run_trees._CLIENT is not None:
        run_trees._CLIENT.close(timeout=5.0)
    run_trees._CLIENT = None
    langsmith.configure(client=None, enabled=None, project_name=None, tags=None, metadata=None)
    ls_utils.get_env_var.cache_clear()
    ls_utils.get_tracer_project.cache_clear()


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No LangSmith of the machine is traced to, and no thread of a client outlives a test."""
    import os

    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    before, kept = set(threading.enumerate()), set(_bus._kept)
    forget_caches()
    yield
    # a listener that outlives its test would hear the labels of the next, and fail their `flush`
    for key in set(_bus._kept) - kept:
        del _bus._kept[key]
    forget_caches()
    deadline = time.monotonic() + 5.0
    while left := [t for t in set(threading.enumerate()) - before if not _pooled(t)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def _pooled(thread: threading.Thread) -> bool:
    """Threads that are the process's, not a test's: idle pools, and our deliveries to listeners."""
    if thread.name.startswith("coord-"):  # an outbox's threads end, a delivery's are kept
        return not thread.name.startswith("coord-langsmith-")
    pools = ("ThreadPoolExecutor", "asyncio_", "tqdm_monitor", "CrewAI", "LanceDB")
    return thread.name.startswith(pools)


@pytest.fixture
def server(untraced: None) -> Iterator[LangSmithServer]:
    """A fresh strict server: what breaks a rule fails the test."""
    with langsmith_server() as server:
        yield server


@pytest.fixture
def traced(server: LangSmithServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmithServer]:
    """The environment traces to `server`, into the project "default"."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    forget_caches()
    yield server
    # the global client has sent what it has before the server checks
    forget_caches()

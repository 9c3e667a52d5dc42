"""What coord's `LangSmith` costs over LangSmith's own tracing, and how fast outcomes are delivered.

The server is `langsmith_server` in a process of its own, so that its work counts nowhere.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import langsmith as ls
from coord_langsmith import LangSmith
from langsmith.run_trees import get_cached_client
from langsmith.utils import get_env_var, get_tracer_project
from measure import Batch, Size, difference, medians, ratio, spread, table, verdict

from coord_plugins import check, flush, track, validated

ROOT = Path(__file__).resolve().parents[2]
STEPS = 6
LIMIT = 1.5
"""The target for the caller: coord's runs in LangSmith, over LangSmith's own tracing of as many."""
RATE = 100
"""The target for the delivery: outcomes a second from one process to a server without latency."""
WAIT = 300.0

SERVER = """
import json, sys
from coord_plugins.testing import langsmith_server

with langsmith_server(strict=False) as server:
    print(json.dumps(server.environment("bench")), flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "slow":
            server.fail("slow", seconds=float(rest[0]))
        elif word == "healthy":
            server.recover()
        outcomes = sum(f["key"] == "outcome" for f in server.feedback)
        told = {"outcomes": outcomes, "runs": len(server.runs), "requests": len(server.requests)}
        print(json.dumps({**told, "problems": server.problems}), flush=True)
"""


class Remote:
    """The server in the other process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.environment: dict[str, str] = json.loads(process.stdout.readline())

    def tell(self, order: str = "count") -> dict[str, Any]:
        """Give it an order; what it has by then.

        Raises:
            RuntimeError: What was sent broke a rule, so that the figures would mean nothing.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        if told["problems"]:
            raise RuntimeError("\n- ".join(["LangSmith was told nonsense:", *told["problems"]]))
        return told


@contextmanager
def serving() -> Iterator[Remote]:
    """A server, and an environment whose client sends to it; tracing itself stays off."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_")):
            del os.environ[name]
    try:
        remote = Remote(process)
        os.environ.update({**remote.environment, "LANGSMITH_TRACING": "false"})
        get_env_var.cache_clear()
        get_tracer_project.cache_clear()
        client = ls.Client()
        ls.configure(client=client)
        yield remote
        client.close(timeout=WAIT)
    finally:
        ls.configure(client=None)
        os.environ.clear()
        os.environ.update(before)
        get_env_var.cache_clear()
        get_tracer_project.cache_clear()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


class Case(NamedTuple):
    """One way of doing the same."""

    run: Batch
    traced: bool
    listener: LangSmith | None = None

    def settle(self) -> None:
        """Everything that the calls caused has been sent."""
        get_cached_client().flush(WAIT)
        if self.listener is not None:
            assert flush(WAIT)
            assert self.listener.flush(WAIT)


class Samples(NamedTuple):
    """Microseconds per run, one sample a round."""

    wall: dict[str, list[float]]
    """Of the caller, until it has its last result."""
    caller: dict[str, list[float]]
    """CPU of the caller's thread."""
    process: dict[str, list[float]]
    """CPU of all threads, until everything has been sent."""


def interleaved(cases: Mapping[str, Case], calls: int, size: Size) -> Samples:
    """As `measure.interleaved`, with three clocks, of which one also waits for the delivery."""
    names = list(cases)
    found = Samples(*({name: [] for name in names} for _ in Samples._fields))
    clocks: tuple[Callable[[], int], ...] = (
        time.perf_counter_ns,
        time.thread_time_ns,
        time.process_time_ns,
    )
    calls = size.count(calls)
    for number in range(-1, size.rounds):  # the first is not counted: caches, lazy imports
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            case = cases[name]
            gc.collect()
            with ls.tracing_context(enabled=case.traced):
                began = [clock() for clock in clocks]
                case.run(calls)
                ended = [clock() for clock in clocks]
                case.settle()
                ended[2] = time.process_time_ns()
            if number >= 0:
                for samples, start, end in zip(found, began, ended, strict=True):
                    samples[name].append((end - start) / calls / 1_000)
    return found


def show(title: str, samples: Samples, bare: str, own: str, targets: Mapping[str, str]) -> None:
    """Print the medians, what each is over `bare`, and the ratio to LangSmith's own tracing.

    Args:
        title: Of the table.
        samples: What was measured.
        bare: The case without any tracing.
        own: The case with LangSmith's own tracing only.
        targets: For a case the one that it must not exceed by more than `LIMIT`.
    """
    middle = [medians(kind) for kind in samples]
    rows = []
    for name in samples.wall:
        ratios = [ratio(kind[name], kind[own]) for kind in samples]
        over = difference(samples.wall[name], samples.wall[bare])
        said = ""
        if name in targets:
            said = verdict(ratio(samples.wall[name], samples.wall[targets[name]]) <= LIMIT)
        cells = [
            f"{middle[0][name]:,.0f}",
            f"{spread(samples.wall[name]):,.0f}",
            f"{over:+,.0f}",
            f"{ratios[0]:.2f}",
            f"{middle[1][name]:,.0f}",
            f"{middle[2][name]:,.0f}",
            f"{ratios[2]:.2f}",
            said,
        ]
        rows.append((name, *cells))
    head = ("", "wall", "+-", "over bare", "x own", "own CPU", "all CPU", "x own", "target")
    table(
        f"{title}: us/run of the caller, and CPU; median of {len(samples.wall[bare])}", head, rows
    )


def calling(work: Callable[[], object]) -> Batch:
    """Call it n times."""

    def batch(n: int) -> None:
        for _ in range(n):
            work()

    return batch


def judged_graph() -> Any:
    """The graph of `bench_langgraph` with a traced check in every node: as many runs as ours."""
    import bench_langgraph
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(bench_langgraph.State)
    names = [f"step{i}" for i in range(STEPS)]

    def node(name: str) -> Any:
        judge = ls.traceable(name=f"validate:{name}")(bench_langgraph.is_count)

        def work(state: bench_langgraph.State) -> bench_langgraph.State:
            update: bench_langgraph.State = {"count": state["count"] + 1}
            assert judge(update)
            return update

        return work

    for name in names:
        builder.add_node(name, node(name))
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder.compile()


def in_langgraph(size: Size, spool: Path) -> None:
    """Six nodes, as `bench_langgraph` has them."""
    import bench_langgraph

    bare = bench_langgraph.graph(is_async=False)
    plain = bench_langgraph.batch(bare, is_async=False)
    cases = {
        "bare, untraced": Case(plain, traced=False),
        "bare, untraced again (A/A)": Case(plain, traced=False),
        "bare, traced": Case(plain, traced=True),
        "bare, traced again (A/A)": Case(plain, traced=True),
    }
    judged = "bare, a traceable check per node, traced"
    cases[judged] = Case(bench_langgraph.batch(judged_graph(), is_async=False), traced=True)
    targets = {}
    for edges in (False, True):
        kind = "an edge per node" if edges else "no edges"
        app = bench_langgraph.attached(bare, edges=edges)
        cases[f"attached, {kind}, traced"] = Case(bench_langgraph.batch(app, False), traced=True)
        listener = LangSmith(spool=spool)
        app = bench_langgraph.attached(bare, edges=edges, listeners=[listener])
        name = f"attached, {kind}, LangSmith()"
        cases[name] = Case(bench_langgraph.batch(app, False), traced=True, listener=listener)
        targets[name] = judged if edges else "bare, traced"
    samples = interleaved(cases, 12, size)
    show("LangGraph, six nodes", samples, "bare, untraced", "bare, traced", targets)


def in_python(size: Size, spool: Path) -> None:
    """Six functions: LangSmith's decorator beside ours."""

    def work(text: str) -> str:
        return text

    def is_text(output: Any) -> bool:
        return type(output) is str

    def alone(*, validators: bool) -> Batch:
        steps = [ls.traceable(name=f"step{i}")(work) for i in range(STEPS)]
        verdicts = [ls.traceable(name=f"validate:{i}")(is_text) for i in range(STEPS)]

        @ls.traceable(name="bench")
        def root(text: str) -> str:
            for step, judge in zip(steps, verdicts, strict=True):
                text = step(text)
                assert not validators or judge(text)
            return text

        return calling(lambda: root("x"))

    def ours(listener: LangSmith | None) -> Batch:
        steps = [validated(check(is_text), name=f"step{i}")(work) for i in range(STEPS)]

        @track("bench", goal=is_text, store="off", listeners=[listener] if listener else [])
        def root(text: str) -> str:
            for step in steps:
                text = step(text)
            return text

        return calling(lambda: root("x"))

    listener = LangSmith(spool=spool)
    seven, thirteen = alone(validators=False), alone(validators=True)
    cases = {
        "traceable, off": Case(seven, traced=False),
        "traceable, off again (A/A)": Case(seven, traced=False),
        "track, no listener, off": Case(ours(None), traced=False),
        "track, LangSmith(), off": Case(ours(listener), traced=False, listener=listener),
        "traceable, 7 runs": Case(seven, traced=True),
        "traceable, 7 runs again (A/A)": Case(seven, traced=True),
        "traceable, 13 runs": Case(thirteen, traced=True),
        "track, LangSmith(), 13 runs": Case(ours(listener), traced=True, listener=listener),
    }
    targets = {"track, LangSmith(), 13 runs": "traceable, 13 runs"}
    samples = interleaved(cases, 30, size)
    show("Python, six functions", samples, "traceable, off", "traceable, 7 runs", targets)


def delivery(size: Size, spool: Path, remote: Remote) -> None:
    """How fast outcomes leave, and how long `flush` takes after 1,000 runs."""
    runs, rows = size.count(1_000), []
    for latency in (0.0, 0.05):
        listener = LangSmith(spool=spool)
        work = track("bench", goal=lambda output: True, store="off", listeners=[listener])(int)
        before = remote.tell(f"slow {latency}" if latency else "healthy")
        with ls.tracing_context(enabled=True):
            began, cpu = time.perf_counter(), time.process_time()
            for _ in range(runs):
                work()
            ended = time.perf_counter()
            assert flush(WAIT)
            assert listener.flush(WAIT)
            delivered, cpu = time.perf_counter(), time.process_time() - cpu
        after = remote.tell("healthy")
        assert after["outcomes"] - before["outcomes"] == runs, listener.stats()
        rate = runs / (delivered - began)
        rows.append(
            (
                f"{1_000 * latency:.0f} ms",
                f"{(ended - began) / runs * 1e6:,.0f}",
                f"{delivered - ended:.1f}",
                f"{rate:,.0f}",
                f"{(after['requests'] - before['requests']) / runs:.2f}",
                f"{cpu / runs * 1e6:,.0f}",
                "" if latency else verdict(rate >= RATE),
            )
        )
    head = ("latency", "us/run", "flush s", "outcomes/s", "requests/run", "all CPU us", "target")
    title = f"delivery of {runs:,} outcomes in one process, target {RATE}/s without latency"
    table(title, head, rows)


def langsmith(size: Size) -> None:
    """Overhead on LangGraph and in plain Python, and the rate of delivery."""
    with tempfile.TemporaryDirectory() as place:
        spool = Path(place)
        if importlib.util.find_spec("langgraph") is not None:
            with serving():
                in_langgraph(size, spool)
        with serving():
            in_python(size, spool)
        with serving() as remote:
            delivery(size, spool, remote)

"""The same questions to the local server and, where asked for, to LangSmith itself.

    COORD_LANGSMITH_LIVE=1 LANGSMITH_API_KEY=... pytest tests/adapters/langsmith/test_live.py

It traces into projects of its own with a random name, which it deletes. What only the service can
answer is asked of the local server too, so that the questions are known to work.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar

import langsmith
import pytest
from coord_langsmith import LangSmith, langsmith_report
from langsmith.run_trees import get_cached_client
from langsmith.utils import LangSmithConflictError, LangSmithNotFoundError

from coord_plugins import (
    RunFinished,
    RunRecord,
    ValidationEdge,
    check,
    collect_runs,
    flush,
    iter_runs,
    record_outcome,
    track,
    validated,
)
from coord_plugins.testing import langsmith_server

from .conftest import forget_caches

T = TypeVar("T")
# what replaces it is not in older versions
pytestmark = pytest.mark.filterwarnings("ignore:list_runs.. is deprecated")
# read while tests are collected: the directory's own fixture takes it from every test
MACHINE = {n: v for n, v in os.environ.items() if n.startswith(("LANGSMITH_", "LANGCHAIN_"))}
HAS_KEY = bool(MACHINE.get("LANGSMITH_API_KEY") or MACHINE.get("LANGCHAIN_API_KEY"))
live = pytest.mark.skipif(
    os.environ.get("COORD_LANGSMITH_LIVE") != "1" or not HAS_KEY,
    reason="COORD_LANGSMITH_LIVE=1 and LANGSMITH_API_KEY ask LangSmith itself",
)
TRIES, PAUSE = 40, {"live": 3.0}
"""How often something is looked for that is not there yet, and the seconds in between."""


class Service(NamedTuple):
    """Whom to ask, and the test's own project there."""

    kind: str
    project: str
    client: langsmith.Client
    listener: LangSmith

    def settle(self) -> None:
        """Everything has left this process."""
        self.client.flush(60)
        assert flush(60)
        assert self.listener.flush(60), self.listener.stats()
        self.client.flush(60)

    def eventually(self, read: Callable[[], T], is_it: Callable[[T], object]) -> T:
        """What `read` gives once it is as it should be; a project or a run may not be there yet.

        Raises:
            AssertionError: It never was, in `TRIES`.
        """
        found: Any = None
        for _ in range(TRIES):
            try:
                found = read()
                if is_it(found):
                    return found
            except LangSmithNotFoundError as error:
                found = error
            time.sleep(PAUSE.get(self.kind, 0.01))
        raise AssertionError(f"after {TRIES} tries: {found!r}")

    def roots(self) -> dict[str, Any]:
        """The project's root runs by id."""
        found = self.client.list_runs(project_name=self.project, is_root=True)
        return {str(run.id): run for run in found}

    def feedback(self, run_id: Any, key: str = "outcome") -> list[Any]:
        """A run's feedback of one key."""
        return list(self.client.list_feedback(run_ids=[run_id], feedback_key=[key]))

    def outcomes(self, count: int) -> dict[str, dict[str, Any]]:
        """By root run what its feedback says, once so many roots have an outcome."""

        def read() -> dict[str, dict[str, Any]]:
            found: dict[str, dict[str, Any]] = {root: {} for root in self.roots()}
            for given in self.client.list_feedback(run_ids=list(found)) if found else ():
                said = found[str(given.run_id)]
                assert given.key not in said, f"twice: {given}"
                said[given.key] = given.score if given.value is None else (given.score, given.value)
            return found

        def is_complete(found: dict[str, dict[str, Any]]) -> bool:
            return len(found) == count and all("cost_usd" in said for said in found.values())

        return self.eventually(read, is_complete)


@pytest.fixture(params=["local", "conflict", pytest.param("live", marks=live)])
def service(
    request: pytest.FixtureRequest,
    untraced: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Service]:
    """A listener on a project of the test's own, which is deleted at the end.

    "conflict" is the local server that refuses feedback with an id that it knows.
    """
    project = f"coord-live-{uuid.uuid4().hex[:12]}"

    def serve(environment: dict[str, str]) -> Iterator[Service]:
        settings = {**environment, "LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": project}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        forget_caches()
        client, listener = get_cached_client(), LangSmith(spool=tmp_path / "spool")
        try:
            yield Service(request.param, project, client, listener)
        finally:
            listener.flush(60)
            listener.close()
            client.flush(60)
            with suppress(LangSmithNotFoundError):
                client.delete_project(project_name=project)
            forget_caches()

    if request.param == "live":
        yield from serve(MACHINE)
        return
    is_update = request.param == "local"
    with langsmith_server(duplicate_feedback="update" if is_update else "conflict") as server:
        yield from serve(server.environment(project))


def by_output(output: Any) -> tuple[bool, str]:
    """The goal: the output says that it is good."""
    return output == "good", "it is not good"


def job(service: Service) -> Callable[[str], str]:
    """A pipeline of one step, which is repeated once where it is told to be good at the second."""

    @validated(check(lambda text: text != "poor", name="fine", feedback="better"), name="write")
    def write(told: str, feedback: str | None = None) -> str:
        if told == "crash":
            raise KeyError("no such ticket")
        return "good" if told == "late" and feedback else {"late": "poor"}.get(told, told)

    @track("live", goal=by_output, listeners=[service.listener])
    def run(told: str) -> str:
        return write(told)

    return run


def expected(record: RunRecord, attempts: int = 1) -> dict[str, Any]:
    """The feedback that a run's record asks for, as the service gives it back."""
    return {
        "outcome": (int(record.succeeded), record.outcome),
        "outcome.first_try": int(record.outcome == "success.first_pass"),
        "attempts": attempts,
        "cost_usd": 0,
    }


def trace_of(record: RunRecord) -> str:
    return str(record.metadata["langsmith.trace_id"])


def test_outcomes_come_back_as_their_records_say(service: Service) -> None:
    run = job(service)
    with collect_runs() as records:
        for told in ("good", "late", "bad"):
            run(told)
        with pytest.raises(KeyError):
            run("crash")
    service.settle()
    said = [r.outcome for r in records]
    assert said == ["success.first_pass", "success.unjudged", "silent_failure.first_pass", said[3]]
    assert said[3].startswith("error.")

    found = service.outcomes(4)
    attempts = [1, 2, 1, 1]
    wanted = {trace_of(r): expected(r, n) for r, n in zip(records, attempts, strict=True)}
    assert found == wanted
    comment = service.feedback(trace_of(records[2]))[0].comment
    assert comment == "lost at goal: it is not good"

    report = service.eventually(
        lambda: langsmith_report(service.project),
        lambda r: (r.runs, r.labelled) == (4, 4) and r.node_success.n >= 8,
    )
    assert report.accuracy is not None
    assert report.first_try is not None
    assert (report.accuracy.successes, report.accuracy.n) == (2, 4)
    assert (report.first_try.successes, report.first_try.n) == (1, 4)
    assert report.counted_from == "values"
    assert {k: n for k, n in report.outcomes.items() if n} == dict.fromkeys(said, 1)
    assert report.mean_attempts == 1.25
    assert (report.root_success.successes, report.root_success.n) == (3, 4)
    assert report.warnings == ()


def test_langgraph_puts_its_outcomes_on_its_own_roots(service: Service) -> None:
    graph = pytest.importorskip("langgraph.graph")
    from coord_langgraph import attach

    class State(TypedDict, total=False):
        told: str
        answer: str

    def write(state: State, feedback: str | None = None) -> State:
        return {"answer": "good" if feedback else state["told"]}

    builder = graph.StateGraph(State)
    builder.add_node("write", write)
    builder.add_edge(graph.START, "write")
    fine = check(lambda text: text != "poor", name="fine", feedback="better")
    app = attach(
        builder.compile(),
        ValidationEdge("write", fine, of="answer", max_attempts=2),
        pipeline="live",
        goal=lambda state: by_output(state["answer"]),
        listeners=[service.listener],
    )
    with collect_runs() as records:
        for told in ("good", "poor", "bad"):
            app.invoke({"told": told})
    service.settle()
    outcomes = ["success.first_pass", "success.unjudged", "silent_failure.first_pass"]
    assert [r.outcome for r in records] == outcomes
    found = service.outcomes(3)
    wanted = zip(records, [1, 2, 1], strict=True)
    assert found == {trace_of(r): expected(r, n) for r, n in wanted}
    repeated = trace_of(records[1])
    root = service.eventually(service.roots, lambda r: "coord.outcome" in r[repeated].metadata)[
        repeated
    ]
    assert root.metadata["coord.outcome"] == "success.unjudged"
    assert root.end_time is not None
    assert root.error is None


def test_feedback_that_is_sent_again_is_one_and_says_the_latest(service: Service) -> None:
    """By its id: the service may take it, or refuse it, which makes it a correction."""
    with collect_runs() as records:
        job(service)("bad")
    service.settle()
    (record,) = records
    root = trace_of(record)
    (first,) = service.eventually(lambda: service.feedback(root), len)
    with suppress(LangSmithConflictError):  # as by anybody, without knowing that it is there
        service.client.create_feedback(
            run_id=root,
            key="outcome",
            score=first.score,
            value=first.value,
            comment=first.comment,
            feedback_id=first.id,
            session_id=service.client.read_project(project_name=service.project).id,
            start_time=service.roots()[root].start_time,
            extend_trace_retention=False,
            stop_after_attempt=1,
        )
    again = replace(record, explanation="on a closer look")
    service.listener.on_event(RunFinished(again))
    service.settle()
    found = service.eventually(
        lambda: service.feedback(root),
        lambda f: f and f[0].comment == "lost at goal: on a closer look",
    )
    assert [(f.id, f.score, f.value) for f in found] == [(first.id, 0, first.value)]


def test_a_label_that_comes_later_corrects_what_is_there(service: Service) -> None:
    run = job(service)
    with collect_runs() as records:
        run("good")
        run("good")
    service.settle()
    wrong, right = records
    service.outcomes(2)
    record_outcome(wrong.run_id, passed=False, source="the customer")
    service.settle()
    (found,) = service.eventually(
        lambda: service.feedback(trace_of(wrong)), lambda f: f and f[0].score == 0
    )
    (stored,) = [r for r in iter_runs() if r.run_id == wrong.run_id]
    assert found.value == stored.outcome == "silent_failure.first_pass"
    (kept,) = service.feedback(trace_of(right))
    assert kept.score == 1
    report = service.eventually(
        lambda: langsmith_report(service.project),
        lambda r: r.accuracy is not None and r.accuracy.n == 2 and r.successes == 1,
    )
    assert report.first_try is not None
    assert report.first_try.successes == 1


def test_a_root_that_was_lost_is_made_again(service: Service) -> None:
    """A run that LangSmith has never heard of, as where its own client gave up."""
    with collect_runs() as records:
        job(service)("bad")
    service.settle()
    (record,) = records
    service.outcomes(1)
    lost = str(langsmith.uuid7())
    told = {**record.metadata, "langsmith.trace_id": lost, "langsmith.target": lost}
    other = replace(record, run_id=f"{record.run_id}-lost", metadata=told)
    service.listener.spool([RunFinished(other)])
    service.listener.replay()
    service.settle()
    found = service.outcomes(2)
    assert found[lost] == expected(other)
    root = service.roots()[lost]
    assert "coord:restored" in (root.tags or ())
    assert root.name == "live"
    assert root.metadata["coord.outcome"] == record.outcome


def test_only_sampled_traces_have_an_outcome(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 24
    monkeypatch.setenv("LANGSMITH_TRACING_SAMPLING_RATE", "0.5")
    forget_caches()  # a client reads it once
    service = service._replace(client=get_cached_client())
    run = job(service)
    with collect_runs() as records:
        for _ in range(runs):
            run("good")
    service.settle()
    sampled = {trace_of(r) for r in records if r.metadata["langsmith.sampled"]}
    assert 0 < len(sampled) < runs
    stats = service.listener.stats()
    assert (stats["traced"], stats["sampled_out"]) == (runs, runs - len(sampled))
    assert set(service.outcomes(len(sampled))) == sampled
    report = service.eventually(
        lambda: langsmith_report(service.project), lambda r: r.labelled == len(sampled)
    )
    assert report.runs == len(sampled)
    assert report.accuracy is not None
    assert report.accuracy.successes == len(sampled)

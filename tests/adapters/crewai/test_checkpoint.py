"""CrewAI's checkpoints: what they take along of a run, and what a restored crew needs."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import _checkpoint, attach
from crewai import Crew
from crewai.events.event_bus import crewai_event_bus
from crewai.hooks import InterceptionPoint
from crewai.hooks.dispatch import scoped_hooks
from crewai.state.checkpoint_config import CheckpointConfig

from coord_plugins import STOP, PolicyError, ValidationEdge, check, flush, report

from .crews import counts, crew_of, no_bad, run_crew

fine = check(no_bad, name="fine", feedback="do better")
pytestmark = pytest.mark.filterwarnings("ignore:.*cannot be serialized", "ignore:Pydantic serial")


class Died(BaseException):
    """The process ends here."""


def _written() -> None:
    crewai_event_bus.flush()


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """What CrewAI restores stays in its context; here it is taken back."""
    before = {var: var.get() for var in contextvars.copy_context()}
    # CrewAI writes checkpoints in threads of its own, which new events can break
    with scoped_hooks({InterceptionPoint.PRE_STEP: [lambda context: _written()]}):
        yield
    for var in contextvars.copy_context():
        if var.name.startswith("crewai") and var in before:
            var.set(before[var])
    crewai_event_bus._runtime_state = None


def edge() -> ValidationEdge:
    return ValidationEdge("writer", fine, back_to="reader", max_attempts=2, otherwise=STOP)


def dead_crew(place: Path, store: str = "off") -> tuple[Any, Path]:
    """A crew that died after its writer was rejected once; and its newest checkpoint."""
    config = CheckpointConfig(location=str(place), on_events=["task_started"])
    scripts = {"reader": ["facts", Died()], "writer": "bad"}
    host, _ = crew_of(scripts, checkpoint=config)
    attach(host, edge(), pipeline="p", task="ticket", store=store)
    with pytest.raises(Died):
        host.kickoff(inputs={"ticket": "T-1"})
    crewai_event_bus.flush()
    return host, max(place.rglob("*.json"), key=lambda f: f.stat().st_mtime_ns)


def wired(crew: Any, scripts: Any) -> Any:
    """A restored crew with a model, which no checkpoint can hold."""
    _, model = crew_of(scripts)
    for agent in crew.agents:
        agent.llm = model
    return crew


def test_attaching_a_restored_crew_goes_on_with_its_run(tmp_path: Path) -> None:
    host, file = dead_crew(tmp_path)
    config = CheckpointConfig(location=str(tmp_path), restore_from=file)
    crew = wired(Crew.from_checkpoint(config), {"reader": "facts 2", "writer": "bad again"})
    found = attach(crew, edge(), pipeline="p", task="ticket", store="off")
    output = found.kickoff()
    assert output.raw == ""
    record = found.coord.last
    # one rejection before the process died, and one after: the edge is exhausted
    assert counts(record) == {"reader": (2, 0), "writer": (2, 2)}
    assert (record.outcome, record.run_id) == ("escalated.unjudged", host.coord.last.run_id)
    assert _checkpoint.KEY not in _checkpoint._metadata(crew)


def test_the_attached_crew_restores_with_its_policy(tmp_path: Path) -> None:
    host, file = dead_crew(tmp_path)
    config = CheckpointConfig(location=str(tmp_path), restore_from=file)

    def rewire(crew: Any) -> Any:
        return wired(crew, {"reader": "facts 2", "writer": "good"})

    before = Crew.from_checkpoint
    try:
        Crew.from_checkpoint = classmethod(lambda cls, c: rewire(before(c)))  # type: ignore[method-assign]
        output = host.kickoff(from_checkpoint=config)
    finally:
        Crew.from_checkpoint = before  # type: ignore[method-assign]
    assert output.raw == "good"
    assert counts(host.coord.last) == {"reader": (2, 0), "writer": (2, 1)}


def test_a_crew_restored_without_its_policy_does_not_run(tmp_path: Path) -> None:
    host, file = dead_crew(tmp_path)
    config = CheckpointConfig(location=str(tmp_path), restore_from=file)
    crew = wired(type(host).from_checkpoint(config), {"reader": "facts 2", "writer": "bad"})
    with pytest.raises(PolicyError, match=r"call attach\(crew, \.\.\.\) with the same arguments"):
        crew.kickoff()
    assert type(crew) is Crew


def test_a_checkpoint_of_a_bare_crew_is_not_ours(tmp_path: Path) -> None:
    config = CheckpointConfig(location=str(tmp_path), on_events=["task_started"])
    host, _ = crew_of({"a": "a", "b": Died()}, checkpoint=config)
    with pytest.raises(Died):
        host.kickoff(inputs={"ticket": "T-1"})
    crewai_event_bus.flush()
    file = max(tmp_path.rglob("*.json"), key=lambda f: f.stat().st_mtime_ns)
    crew = Crew.from_checkpoint(CheckpointConfig(location=str(tmp_path), restore_from=file))
    assert wired(crew, {"a": "a", "b": "b"}).kickoff().raw == "b"


def test_a_users_callback_stays_in_the_checkpoint(tmp_path: Path) -> None:
    """While a task executes, its callback is ours; what is written down is the user's."""
    config = CheckpointConfig(location=str(tmp_path), on_events=["task_started"])
    host, _ = crew_of(
        {"a": "a", "b": "b"},
        checkpoint=config,
        tasks={"a": {"callback": print}},
    )
    attach(host, ValidationEdge("a", fine), pipeline="p", store="off")
    host.kickoff(inputs={"ticket": "T-1"})
    files = sorted(tmp_path.rglob("*.json"), key=lambda f: f.stat().st_mtime_ns)
    saved = [json.loads(f.read_text()) for f in files]
    callbacks = [
        [t["callback"] for t in e["tasks"]] for s in saved for e in s["entities"] if "tasks" in e
    ]
    assert callbacks == [["builtins.print", None]] * 2


def test_a_run_that_goes_on_is_one_run_in_the_store(tmp_path: Path) -> None:
    store = str(tmp_path / "outcomes.db")
    place = tmp_path / "checkpoints"
    host, file = dead_crew(place, store=store)
    config = CheckpointConfig(location=str(place), restore_from=file)
    crew = wired(Crew.from_checkpoint(config), {"reader": "facts 2", "writer": "good"})
    attach(crew, edge(), pipeline="p", task="ticket", store=store).kickoff()
    assert flush(30.0)
    group = report(pipeline="p", store=store).only
    assert (group.started, group.finished, group.in_flight) == (1, 1, 0)


def test_an_accepted_task_is_counted_before_crewai_writes_it_down(tmp_path: Path) -> None:
    """Its completion is what triggers the checkpoint: the counts must be there by then."""
    seen: list[list[str]] = []
    config = CheckpointConfig(location=str(tmp_path))
    host, _ = crew_of({"a": "a", "b": ["bad", "b"]}, checkpoint=config)

    def looks(output: Any) -> None:
        seen.append(sorted(json.loads(_checkpoint._metadata(host)[_checkpoint.KEY])))

    for task in host.tasks:
        task.callback = looks
    attach(host, ValidationEdge("b", fine), pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert seen == [["run", "t:a"], ["run", "t:a", "t:b"]]


def test_what_does_not_fit_is_left_out() -> None:
    """CrewAI refuses to restore more than 10 kB of metadata: first the counts go, then the rest."""
    host, _ = crew_of({"a": "a"})
    attach(host, pipeline="p", store="off")
    run = host.coord.start({}, is_async=False)
    feedback = "x" * 2_000
    edges = {f"e:s{i}": [1, feedback, ["a"]] for i in range(3)}
    tallies = {f"t:s{i}": {"executions": 1} for i in range(200)}
    _checkpoint.keep(host, run, {**edges, **tallies, "o:a": object()})
    kept = json.loads(_checkpoint._metadata(host)["coord"])
    assert sorted(kept) == ["e:s0", "e:s1", "e:s2", "run"]
    _checkpoint.keep(host, run, {f"e:t{i}": [1, feedback, ["a"]] for i in range(3)})
    assert list(json.loads(_checkpoint._metadata(host)["coord"])) == ["run"]
    assert len(str(_checkpoint._metadata(host))) < 10_000


def test_without_a_checkpoint_nothing_is_kept() -> None:
    host, _ = crew_of({"a": "a"})
    attach(host, ValidationEdge("a", fine), pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert _checkpoint._metadata(host) == {}


def test_parallel_tasks_that_commit_at_the_same_time_all_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crew, _ = crew_of({"writer": "fine"})
    run = SimpleNamespace(identity=lambda: {"id": "r"}, elapsed=0.0)
    inside, second_waits = threading.Event(), threading.Event()
    merge = _checkpoint.merge_durable
    others: list[threading.Thread] = []

    class Lock:
        """A lock that says when somebody has to wait."""

        def __init__(self) -> None:
            self.real = threading.Lock()

        def __enter__(self) -> None:
            if not self.real.acquire(blocking=False):
                second_waits.set()
                self.real.acquire()

        def __exit__(self, *error: object) -> None:
            self.real.release()

    def slow(kept: Any, new: Any) -> Any:
        if not inside.is_set():  # the first is in the midst of it when the second comes
            inside.set()
            others.append(threading.Thread(target=_checkpoint.keep, args=(crew, run, {"e:b": {}})))
            others[0].start()
            assert second_waits.wait(10)
        return merge(kept, new)

    monkeypatch.setattr(_checkpoint, "_keeping", Lock())
    monkeypatch.setattr(_checkpoint, "merge_durable", slow)
    _checkpoint.keep(crew, run, {"e:a": {}})  # type: ignore[arg-type]  # what `keep` reads of a run
    others[0].join(10)
    kept = json.loads(crew.security_config.fingerprint.metadata[_checkpoint.KEY])
    assert set(kept) == {"run", "e:a", "e:b"}

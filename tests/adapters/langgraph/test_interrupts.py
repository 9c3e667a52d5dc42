"""Pauses, people, crashes and limits: one run, one outcome, and nobody is asked twice."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest
from coord_langgraph import attach
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from coord_plugins import (
    HUMAN,
    STOP,
    AttemptsExhaustedError,
    Retry,
    RunFinished,
    RunPaused,
    RunStarted,
    ValidationEdge,
    flush,
    report,
)

from .graphs import Lab, State, compare_with_bare, positive, static
from .test_topologies import SYNC_AND_ASYNC, quietly_attached

CONFIG = {"configurable": {"thread_id": "t"}}
NO_WAIT = Retry(max_attempts=3, initial_interval=0.0)


class Ledger:
    """A listener that keeps what happened to runs, in order."""

    run_events_only = True

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Kinds and outcomes, once everything is delivered."""
        flush()
        names = {RunStarted: "started", RunPaused: "paused", RunFinished: "finished"}
        return [(names[type(e)], e.record.outcome) for e in self.events]

    @property
    def ids(self) -> set[str]:
        """The ids of all runs."""
        flush()
        return {e.record.run_id for e in self.events}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def asking(lab: Lab, *, at: tuple[int, ...]) -> Any:
    """a -> b, where b asks a person in the given calls, and is bad for the first `fails`."""
    answers: list[Any] = []

    def work(state: Any, call: int) -> Any:
        if call in at:
            answers.append(interrupt({"question": call}))
        return lab.candidate(state, call)

    graph = StateGraph(State)
    graph.add_node("a", lab.node("a"))
    graph.add_node("b", lab.node("b", work))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    return graph, answers


@SYNC_AND_ASYNC
def test_interrupt_passes_and_its_resume_is_the_same_run(is_async: bool, ledger: Ledger) -> None:
    """An interrupt is no rejection and no error; pause and resume are one run."""
    lab = Lab(is_async=is_async)
    graph, answers = asking(lab, at=(1, 2))
    app = quietly_attached(
        graph.compile(checkpointer=InMemorySaver()),
        ValidationEdge("b", positive),
        retry={"*": NO_WAIT},
        goal=lambda out: True,
        listeners=[ledger],
    )
    out = lab.run(app, {"x": 0}, CONFIG)
    assert [i.value for i in out["__interrupt__"]] == [{"question": 1}]
    assert ledger.told == [("started", "in_flight.running"), ("paused", "in_flight.paused")]
    assert list(app.coord.runs) == []
    flush()
    out = lab.run(app, Command(resume="yes"), CONFIG)
    assert out["vals"] == [("b", 2)]
    assert answers == ["yes"]
    assert ledger.told[2:] == [
        ("started", "in_flight.running"),
        ("finished", "success.first_pass"),
    ]
    assert len(ledger.ids) == 1
    steps = app.coord.last.steps
    assert (steps["a"].executions, steps["b"].executions) == (1, 1)
    numbers = report(None)
    assert (numbers.only.started, numbers.only.finished) == (1, 1)


@SYNC_AND_ASYNC
def test_a_paused_run_is_reported_as_in_flight(is_async: bool) -> None:
    """Until it is resumed, a paused run counts as in flight."""
    lab = Lab(is_async=is_async)
    graph, _ = asking(lab, at=(1,))
    app = quietly_attached(graph.compile(checkpointer=InMemorySaver()), goal=lambda out: True)
    lab.run(app, {"x": 0}, CONFIG)
    assert report(None).only.outcomes["in_flight.paused"] == 1
    lab.run(app, Command(resume="yes"), CONFIG)
    outcomes = report(None).only.outcomes
    assert (outcomes["in_flight.paused"], outcomes["success.first_pass"]) == (0, 1)


@SYNC_AND_ASYNC
def test_the_human_is_asked_once_when_the_answer_is_followed_by_a_rejection(
    is_async: bool,
) -> None:
    """Call 1 asks; call 2 (resumed) is rejected; call 3 in the same task reuses the answer."""
    lab = Lab(2, is_async=is_async)
    graph, answers = asking(lab, at=(1, 2, 3))
    app = quietly_attached(
        graph.compile(checkpointer=InMemorySaver()), ValidationEdge("b", positive, max_attempts=3)
    )
    assert "__interrupt__" in lab.run(app, {"x": 0}, CONFIG)
    out = lab.run(app, Command(resume="yes"), CONFIG)
    assert "__interrupt__" not in out
    assert answers == ["yes", "yes"]
    assert out["vals"] == [("b", 3)]
    b = app.coord.last.steps["b"]
    assert (b.executions, b.rejects, b.passes) == (2, 1, 1)


@SYNC_AND_ASYNC
def test_an_interrupt_after_a_rejection_starts_the_step_from_its_first_attempt(
    is_async: bool,
) -> None:
    """An in-place loop is atomic: a pause inside it leaves no trace but the calls."""
    lab = Lab(1, is_async=is_async)
    graph, answers = asking(lab, at=(2,))
    app = quietly_attached(
        graph.compile(checkpointer=InMemorySaver()), ValidationEdge("b", positive)
    )
    assert "__interrupt__" in lab.run(app, {"x": 0}, CONFIG)
    assert lab.calls["b"] == 2
    out = lab.run(app, Command(resume="yes"), CONFIG)
    assert (lab.calls["b"], out["vals"], answers) == (3, [("b", 3)], [])
    b = app.coord.last.steps["b"]
    assert (b.executions, b.rejects, b.passes) == (1, 0, 1)


@SYNC_AND_ASYNC
def test_the_human_is_asked_once_in_a_retried_node(is_async: bool) -> None:
    """After an answer the node fails; its retry in the same task finds the answer again."""
    lab = Lab(is_async=is_async)
    answers: list[Any] = []

    def work(state: Any, call: int) -> Any:
        answers.append(interrupt("?"))
        if len(answers) < 3:
            raise ConnectionError("down")
        return {"x": 5}

    graph = StateGraph(State)
    graph.add_node("b", lab.node("b", work))
    graph.add_edge(START, "b")
    app = quietly_attached(graph.compile(checkpointer=InMemorySaver()), retry=NO_WAIT)
    lab.run(app, {"x": 0}, CONFIG)
    out = lab.run(app, Command(resume="yes"), CONFIG)
    assert (out["x"], answers) == (5, ["yes"] * 3)
    b = app.coord.last.steps["b"]
    assert (b.executions, b.errors, b.retries) == (3, 2, 2)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("mode", ["values", "messages"])
@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
def test_static_breakpoints(where: str, mode: str, is_async: bool, ledger: Ledger) -> None:
    """A breakpoint pauses the run, in whatever stream mode; the counts go on."""
    lab = Lab(1, is_async=is_async)
    app = quietly_attached(
        static(lab).compile(checkpointer=InMemorySaver(), **{where: ["b"]}),
        ValidationEdge("b", positive, back_to="a"),
        listeners=[ledger],
    )
    for inputs in ({"x": 0}, None, None, None):
        lab.run(app, inputs, CONFIG, stream_mode=mode)
        if app.coord.runs:
            break
    assert lab.calls == {"a": 2, "b": 2, "c": 1}
    assert len(ledger.ids) == 1
    assert [kind for kind, _ in ledger.told].count("finished") == 1
    assert app.coord.last.steps["b"].rejects == 1
    assert app.coord.last.steps["c"].executions == 1


CRASH = """
    import os, sys
    sys.path[:0] = [{root!r}, {adapters!r}]
    from typing import TypedDict
    from coord_langgraph import attach
    from coord_plugins import ValidationEdge
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import START, StateGraph

    class State(TypedDict, total=False):
        x: int

    calls = {{"a": 0, "b": 0}}

    def a(state, feedback=None):
        calls["a"] += 1
        if len(sys.argv) > 2 and calls["a"] == 3:
            os._exit(9)  # after two rejections
        return {{}}

    def b(state, feedback=None):
        calls["b"] += 1
        return {{"x": -1}}

    graph = StateGraph(State)
    graph.add_node("a", a)
    graph.add_node("b", b)
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    edge = ValidationEdge(
        "b", lambda out: (out["x"] > 0, "no"), back_to="a", max_attempts=4, otherwise="__stop__"
    )
    with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
        app = attach(graph.compile(checkpointer=saver), edge, pipeline="p")
        config = {{"configurable": {{"thread_id": "t"}}}}
        inputs = {{"x": 0}} if len(sys.argv) > 2 else None
        app.invoke(inputs, config, durability="sync")
    from coord_plugins import flush
    flush()
    steps = app.coord.last.steps
    print(app.coord.last.run_id, calls["a"], calls["b"], steps["a"].executions, steps["b"].calls,
          steps["b"].rejects, steps["b"].loops, steps["b"].exhausted, app.coord.last.outcome)
"""


def test_resume_in_another_process_after_a_hard_kill(tmp_path: Path) -> None:
    """Two rejections, `_exit(9)`, a new process: the same run goes on to its fourth attempt."""
    root = Path(__file__).parents[3]
    script = tmp_path / "crash.py"
    text = CRASH.format(root=str(root), adapters=str(root / "adapters"))
    script.write_text(textwrap.dedent(text))
    database = str(tmp_path / "threads.db")
    outcomes = tmp_path / "outcomes.db"
    env = {**os.environ, "COORD_STORE": f"sqlite:///{outcomes}"}
    command = [sys.executable, str(script), database]
    first = subprocess.run([*command, "start"], env=env, capture_output=True, text=True)
    assert first.returncode == 9, first.stderr
    second = subprocess.run(command, env=env, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    run_id, *counts, outcome = second.stdout.split()
    # this process: two more rounds; the run: four candidates, three loops, one exhausted
    assert counts == ["2", "2", "4", "4", "4", "3", "1"]
    assert outcome == "escalated.unjudged"
    with SqliteSaver.from_conn_string(database) as saver:
        kept = saver.get_tuple({"configurable": {"thread_id": "t"}})
        assert kept.checkpoint["channel_values"]["__coord__"]["run"]["id"] == run_id
    numbers = report(f"sqlite:///{outcomes}").only
    assert (numbers.started, numbers.finished) == (1, 1)
    assert numbers.outcomes["escalated.unjudged"] == 1


def deciding(is_async: bool, *, push: bool = False, **settings: Any) -> tuple[Lab, Any]:
    """A graph whose `b` never passes and then asks a person; `c` follows."""
    lab = Lab(99, is_async=is_async)
    graph = StateGraph(State)
    graph.add_node("b", lab.node("b", lambda s, n: {"x": -n, "vals": [s.get("i", "b")]}))
    graph.add_node("c", lab.node("c"))
    if push:
        sends = lambda s: [Send("b", {"i": i}) for i in (1, 2)]
        graph.add_conditional_edges(START, sends, ["b"])
    else:
        graph.add_edge(START, "b")
    graph.add_edge("b", "c")
    check = (lambda out: out["vals"] == [1]) if push else positive
    edge = ValidationEdge("b", check, max_attempts=2, otherwise=HUMAN)
    app = quietly_attached(graph.compile(checkpointer=InMemorySaver()), edge, **settings)
    return lab, app


def decide(**decision: Any) -> Command[Any]:
    return Command(resume={"decisions": [decision]})


@SYNC_AND_ASYNC
def test_a_person_approves(is_async: bool, ledger: Ledger) -> None:
    """The request has LangChain's format; the approved candidate goes on, unchanged."""
    lab, app = deciding(is_async, goal=lambda out: True, listeners=[ledger])
    out = lab.run(app, {"x": 0}, CONFIG)
    (asked,) = out["__interrupt__"]
    (request,) = asked.value["action_requests"]
    assert request["name"] == "b"
    assert request["args"] == {"output": {"x": -2, "vals": ["b"]}}
    assert "x must be above 0, not -2" in request["description"]
    assert asked.value["review_configs"] == [
        {"action_name": "b", "allowed_decisions": ["approve", "edit", "reject"]}
    ]
    assert ledger.told[-1] == ("paused", "in_flight.paused")
    out = lab.run(app, decide(type="approve"), CONFIG)
    assert (out["x"], out["vals"]) == (-2, ["b"])
    assert lab.calls == {"b": 2, "c": 1}  # the person judges the same candidate: no new one
    record = app.coord.last
    assert record.outcome == "escalated.unjudged"
    b = record.steps["b"]
    assert (b.calls, b.rejects, b.loops, b.exhausted, b.human) == (2, 2, 1, 1, 1)
    assert len(ledger.ids) == 1


@SYNC_AND_ASYNC
def test_a_person_edits(is_async: bool) -> None:
    """The edited output replaces the candidate."""
    lab, app = deciding(is_async)
    lab.run(app, {"x": 0}, CONFIG)
    action = {"name": "b", "args": {"output": {"x": 7, "vals": ["mended"]}}}
    out = lab.run(app, decide(type="edit", edited_action=action), CONFIG)
    assert (out["x"], out["vals"], lab.calls["c"]) == (7, ["mended"], 1)


@SYNC_AND_ASYNC
def test_a_person_rejects(is_async: bool) -> None:
    """Their word ends the run as escalated, with their message."""
    lab, app = deciding(is_async)
    lab.run(app, {"x": 0}, CONFIG)
    with pytest.raises(AttemptsExhaustedError, match="not like this") as caught:
        lab.run(app, decide(type="reject", message="not like this"), CONFIG)
    assert caught.value.attempts == 2
    record = app.coord.last
    assert (record.outcome, lab.calls["c"]) == ("escalated.unjudged", 0)
    assert record.lost_at == "b"


@SYNC_AND_ASYNC
@pytest.mark.parametrize(
    "garbage", ["yes", {"decisions": []}, {"decisions": [{"type": "edit"}]}, 7, {"type": "approve"}]
)
def test_an_answer_that_is_no_decision_is_asked_for_again(garbage: Any, is_async: bool) -> None:
    """Nothing is lost: the person sees what an answer looks like and answers again."""
    lab, app = deciding(is_async)
    lab.run(app, {"x": 0}, CONFIG)
    out = lab.run(app, Command(resume=garbage), CONFIG)
    (asked,) = out["__interrupt__"]
    assert "no decision" in asked.value["action_requests"][0]["description"]
    out = lab.run(app, decide(type="approve"), CONFIG)
    assert (out["x"], lab.calls["c"], app.coord.last.steps["b"].human) == (-2, 1, 1)


@SYNC_AND_ASYNC
def test_a_person_decides_about_one_send_worker(is_async: bool) -> None:
    """Only the rejected worker waits; its sibling's output stands."""
    lab, app = deciding(is_async, push=True)
    out = lab.run(app, {"x": 0}, CONFIG)
    assert len(out["__interrupt__"]) == 1
    assert out["vals"] == [1]
    out = lab.run(app, decide(type="approve"), CONFIG)
    assert (out["vals"], lab.calls["b"]) == ([1, 2], 3)
    b = app.coord.last.steps["b"]
    assert (b.executions, b.passes, b.rejects, b.human) == (3, 1, 2, 1)


@SYNC_AND_ASYNC
def test_human_without_a_checkpointer(is_async: bool) -> None:
    """Attaching says so; running without one pauses, and nothing can resume it."""
    lab = Lab(9, is_async=is_async)
    edge = ValidationEdge("b", positive, otherwise=HUMAN)
    with pytest.warns(UserWarning, match="HUMAN needs a checkpointer"):
        app = attach(static(lab).compile(), edge, pipeline="p")
    out = lab.run(app, {"x": 0})
    assert "__interrupt__" in out
    assert len(app.coord.runs) == 0


@SYNC_AND_ASYNC
def test_a_second_run_on_the_same_thread_is_a_new_run(is_async: bool, ledger: Ledger) -> None:
    """New input: fresh counters, another run_id, also after a run that stopped on the way."""
    lab = Lab(3, is_async=is_async)
    app = quietly_attached(
        static(lab).compile(checkpointer=InMemorySaver()),
        ValidationEdge("b", positive, back_to="a", max_attempts=2, otherwise=STOP),
        listeners=[ledger],
    )
    lab.run(app, {"x": 0}, CONFIG)  # rejected twice: exhausted
    lab.run(app, {"x": 0}, CONFIG)  # rejected once more, then accepted
    first, second = app.coord.runs
    assert first.run_id != second.run_id
    assert (first.steps["b"].exhausted, second.steps["b"].exhausted) == (1, 0)
    assert (second.steps["b"].loops, second.steps["b"].passes) == (1, 1)
    assert second.steps["a"].executions == 2
    assert len(ledger.ids) == 2


@SYNC_AND_ASYNC
def test_new_input_after_a_pause_is_a_new_run(is_async: bool) -> None:
    """The paused run stays in flight; the new one starts from nothing."""
    lab = Lab(99, is_async=is_async)
    graph, _ = asking(lab, at=(2, 3))
    app = quietly_attached(
        graph.compile(checkpointer=InMemorySaver()),
        ValidationEdge("b", positive, back_to="a", max_attempts=3, otherwise=STOP),
    )
    lab.run(app, {"x": 0}, CONFIG)  # one rejection, then a question
    lab.run(app, {"x": 0}, CONFIG)  # another question
    lab.run(app, Command(resume="!"), CONFIG)
    outcomes = report(None).only.outcomes
    assert (outcomes["in_flight.paused"], outcomes["escalated.unjudged"]) == (1, 1)
    b = app.coord.last.steps["b"]
    assert (b.rejects, b.loops, b.exhausted) == (3, 2, 1)


@SYNC_AND_ASYNC
def test_time_travel_is_another_run_with_the_counters_of_then(is_async: bool) -> None:
    """From a checkpoint after the first rejection: one attempt is left of two."""
    lab = Lab(99, is_async=is_async)
    app = quietly_attached(
        static(lab).compile(checkpointer=InMemorySaver()),
        ValidationEdge("b", positive, back_to="a", max_attempts=2, otherwise=STOP),
    )
    lab.run(app, {"x": 0}, CONFIG)
    assert lab.calls["b"] == 2
    history = list(app.get_state_history(CONFIG))
    after_first = [s for s in history if s.next == ("a",)][0]  # the loop-back's
    lab.run(app, None, after_first.config)
    assert lab.calls["b"] == 3
    first, second = app.coord.runs
    assert first.run_id != second.run_id
    b = second.steps["b"]
    assert (b.executions, b.exhausted, second.steps["a"].executions) == (1, 1, 1)


@SYNC_AND_ASYNC
def test_a_resume_at_the_latest_checkpoint_by_its_id_is_the_same_run(is_async: bool) -> None:
    """Naming the newest checkpoint is no time travel."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(
        static(lab).compile(checkpointer=InMemorySaver(), interrupt_before=["b"])
    )
    lab.run(app, {"x": 0}, CONFIG)
    lab.run(app, None, app.get_state(CONFIG).config)
    assert app.coord.last.steps["a"].executions == 1
    assert report(None).only.started == 1


@SYNC_AND_ASYNC
def test_existing_threads_and_detaching(is_async: bool) -> None:
    """A thread of the bare graph, without the hidden channel, resumes attached, and bare again."""
    compare_with_bare(is_async)
    lab = Lab(1, is_async=is_async)
    graph = StateGraph(State)
    ask = lambda s, n: {"messages": [interrupt("?")]}
    for name, act in (("a", ask), ("b", lab.candidate), ("c", ask)):
        graph.add_node(name, lab.node(name, act))
    for start, end in ((START, "a"), ("a", "b"), ("b", "c")):
        graph.add_edge(start, end)
    bare = graph.compile(checkpointer=InMemorySaver())
    lab.run(bare, {"x": 0}, CONFIG)
    app = quietly_attached(bare, ValidationEdge("b", positive))
    assert "__interrupt__" in lab.run(app, Command(resume="1"), CONFIG)
    assert (lab.calls["b"], app.get_state(CONFIG).next) == (2, ("c",))
    assert app.coord.detach() is bare
    assert lab.run(bare, Command(resume="2"), CONFIG)["messages"] == ["1", "2"]
    assert lab.calls == {"a": 2, "b": 2, "c": 2}
    assert lab.run(bare, {"x": 0}, CONFIG)["x"] == 0


@SYNC_AND_ASYNC
def test_switching_off_in_the_middle_of_a_thread(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COORD_MODE=off between two static breakpoints: the thread goes on without us."""
    lab = Lab(99, is_async=is_async)
    app = quietly_attached(
        static(lab).compile(checkpointer=InMemorySaver(), interrupt_before=["b", "c"]),
        ValidationEdge("b", positive, back_to="a", max_attempts=9),
    )
    lab.run(app, {"x": 0}, CONFIG)
    monkeypatch.setenv("COORD_MODE", "off")
    lab.run(app, None, CONFIG)
    assert (lab.calls["b"], app.get_state(CONFIG).next) == (1, ("c",))
    lab.run(app, None, CONFIG)
    assert lab.calls == {"a": 1, "b": 1, "c": 1}
    assert list(app.coord.runs) == []


@SYNC_AND_ASYNC
def test_a_parent_command_from_a_subgraph_passes(is_async: bool) -> None:
    """A subgraph's node sends its parent elsewhere: host control flow, no error."""
    lab = Lab(is_async=is_async)
    inner = StateGraph(State)
    leave = lambda s, n: Command(graph=Command.PARENT, goto="c", update={"x": 9})
    inner.add_node("i", lab.node("i", leave))
    inner.add_edge(START, "i")
    graph = StateGraph(State)
    graph.add_node("b", inner.compile())
    graph.add_node("c", lab.node("c"))
    graph.add_edge(START, "b")
    app = quietly_attached(
        graph.compile(), ValidationEdge("b", positive), retry=NO_WAIT, goal=lambda o: o["x"] == 9
    )
    assert lab.run(app, {"x": 0})["x"] == 9
    assert lab.calls == {"i": 1, "c": 1}
    assert app.coord.last.outcome == "success.first_pass"


def _control() -> tuple[Any, dict[str, Any]]:
    """A drain request: LangGraph's from 1.2 on; before that a breakpoint stops the run alike."""
    try:
        from langgraph.runtime import RunControl
    except ImportError:
        return None, {"interrupt_after": ["a"]}
    control = RunControl()
    return control, {"control": control}


@SYNC_AND_ASYNC
def test_a_drained_run_is_paused_and_resumes(is_async: bool, ledger: Ledger) -> None:
    """A process that is asked to stop leaves a run in flight, and another goes on with it."""
    control, kwargs = _control()
    lab = Lab(1, is_async=is_async)
    graph = StateGraph(State)
    stop = lambda s, n: control.request_drain("shutdown") if control and n == 1 else None
    graph.add_node("a", lab.node("a", lambda s, n: stop(s, n) or {}))
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    app = quietly_attached(
        graph.compile(checkpointer=InMemorySaver()),
        ValidationEdge("b", positive),
        listeners=[ledger],
    )
    if control is None:
        lab.run(app, {"x": 0}, CONFIG, **kwargs)
    else:
        from langgraph.errors import GraphDrained

        with pytest.raises(GraphDrained):
            lab.run(app, {"x": 0}, CONFIG, **kwargs)
    assert ledger.told[-1] == ("paused", "in_flight.paused")
    out = lab.run(app, None, CONFIG)
    assert out["vals"] == [("b", 2)]
    assert len(ledger.ids) == 1
    assert app.coord.last.steps["b"].rejects == 1


@SYNC_AND_ASYNC
def test_the_edge_is_exhausted_before_the_recursion_limit_kills_the_run(is_async: bool) -> None:
    """a b a b c needs a limit of 6, and a third round 8: at 6 the second rejection ends it."""
    lab = Lab(99, is_async=is_async)
    edge = ValidationEdge("b", positive, back_to="a", max_attempts=50, otherwise="c")
    app = quietly_attached(static(lab).compile(), edge)
    lab.run(app, {"x": 0}, {"recursion_limit": 6})
    assert lab.calls == {"a": 2, "b": 2, "c": 1}
    record = app.coord.last
    assert record.outcome == "escalated.unjudged"
    assert (record.steps["b"].loops, record.steps["b"].exhausted) == (1, 1)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("limit", range(4, 12))
def test_no_recursion_limit_is_overrun_by_a_loop(limit: int, is_async: bool) -> None:
    """Whatever the limit, the edge gives up in time, and no earlier than it must."""
    lab = Lab(99, is_async=is_async)
    edge = ValidationEdge("b", positive, back_to="a", max_attempts=50, otherwise="c")
    app = quietly_attached(static(lab).compile(), edge)
    lab.run(app, {"x": 0}, {"recursion_limit": limit})
    assert lab.calls["b"] == (limit - 2) // 2  # LangGraph ends n supersteps only under n + 1
    assert lab.calls["c"] == 1


@SYNC_AND_ASYNC
def test_a_run_that_the_limit_ends_says_so(is_async: bool) -> None:
    """A loop of the user's own reaches the limit: error.recursion_limit, also in a subgraph."""
    lab = Lab(is_async=is_async)
    graph = StateGraph(State)
    graph.add_node("a", lab.node("a"))
    graph.add_edge(START, "a")
    graph.add_edge("a", "a")
    app = quietly_attached(graph.compile(), retry=NO_WAIT)
    with pytest.raises(GraphRecursionError):
        lab.run(app, {"x": 0}, {"recursion_limit": 4})
    assert app.coord.last.outcome == "error.recursion_limit"
    assert lab.calls["a"] == 4
    outer = StateGraph(State)
    outer.add_node("sub", graph.compile())
    outer.add_edge(START, "sub")
    app = quietly_attached(outer.compile(), ValidationEdge("sub", positive), retry=NO_WAIT)
    with pytest.raises(GraphRecursionError):
        lab.run(app, {"x": 0}, {"recursion_limit": 4})
    assert app.coord.last.outcome == "error.recursion_limit"
    assert lab.calls["a"] == 8  # not retried


@SYNC_AND_ASYNC
def test_a_failed_run_that_is_continued_ends_once(is_async: bool) -> None:
    """An error, then `invoke(None)`: the same run; the store keeps its last outcome."""
    lab = Lab(is_async=is_async)

    def flaky(state: Any, call: int) -> Any:
        if call == 1:
            raise RuntimeError("bug")
        return {"x": 5}

    graph = StateGraph(State)
    graph.add_node("a", lab.node("a"))
    graph.add_node("b", lab.node("b", flaky))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    app = quietly_attached(graph.compile(checkpointer=InMemorySaver()), goal=lambda out: True)
    with pytest.raises(RuntimeError, match="bug"):
        lab.run(app, {"x": 0}, CONFIG)
    assert report(None).only.outcomes["error.crash"] == 1
    lab.run(app, None, CONFIG)
    numbers = report(None).only
    assert (numbers.started, numbers.finished) == (1, 1)
    assert sum(v for k, v in numbers.outcomes.items() if k.startswith("success")) == 1
    assert lab.calls == {"a": 1, "b": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert app.coord.last.steps["a"].executions == 1

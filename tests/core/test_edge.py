"""`ValidationEdge`: what cannot hold is found when it is made."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from coord_plugins import END, START, STOP, PolicyError, ValidationEdge, check

v = check(lambda o: True, name="v")


def test_defaults() -> None:
    edge = ValidationEdge("writer", v)
    assert (edge.back_to, edge.max_attempts, edge.otherwise) == (("writer",), 2, None)
    assert (edge.stream, edge.mode, edge.of, edge.feedback_to) == ("hold", None, None, None)
    ladder = ValidationEdge("writer", v, back_to=("writer", "reader", START))
    assert ladder.max_attempts == 4
    assert ValidationEdge("writer", v, back_to="reader").back_to == ("reader",)
    assert ValidationEdge("writer", lambda o: True).validators[0].name == "<lambda>"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ValidationEdge(""), "the step is a name"),
        (lambda: ValidationEdge(lambda o: True), "the step is a name"),  # type: ignore[arg-type]
        (lambda: ValidationEdge("w"), "at least one validator"),
        (lambda: ValidationEdge("w", v, max_attempts=0), "max_attempts=0"),
        (lambda: ValidationEdge("w", v, max_attempts=1.5), "max_attempts=1.5"),  # type: ignore[arg-type]
        (lambda: ValidationEdge("w", v, back_to=("w", "r"), max_attempts=2), "'r' is unreachable"),
        (lambda: ValidationEdge("w", v, otherwise="w"), "cannot stand in"),
        (lambda: ValidationEdge("w", v, otherwise=START), "cannot stand in"),
        (lambda: ValidationEdge("w", v, otherwise=END), "cannot stand in"),
        (lambda: ValidationEdge("w", v, stream="later"), "stream='later'"),  # type: ignore[arg-type]
        (lambda: ValidationEdge("w", v, mode="half"), "mode='half'"),  # type: ignore[arg-type]
        (lambda: ValidationEdge("w", v, v), "two validators are named 'v'"),
        (lambda: ValidationEdge("w", "v"), "not callable"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_hold(make: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        make()


def test_one_attempt_is_a_gate() -> None:
    assert ValidationEdge("w", v, max_attempts=1, otherwise=STOP).max_attempts == 1


def test_target() -> None:
    edge = ValidationEdge("w", v, back_to=("w", "r"), max_attempts=5)
    assert [edge.target(n) for n in range(1, 5)] == ["w", "r", "r", "r"]


class Model(BaseModel):
    draft: str
    n: int = 0


@dataclasses.dataclass(frozen=True)
class Data:
    draft: str


def test_select_and_put_are_inverse() -> None:
    edge = ValidationEdge("w", v, of="draft")
    outputs: list[Any] = [{"draft": "a", "n": 1}, Model(draft="a"), Data("a"), "text", {"n": 1}]
    assert [edge.select(o) for o in outputs] == ["a", "a", "a", "text", {"n": 1}]
    assert [edge.put(o, "b") for o in outputs] == [
        {"draft": "b", "n": 1},
        Model(draft="b"),
        Data("b"),
        "b",
        "b",
    ]
    assert outputs[0] == {"draft": "a", "n": 1}
    space = SimpleNamespace(draft="a")
    assert edge.put(space, "b").draft == "b"


def test_a_free_selection_reads_only() -> None:
    edge = ValidationEdge("w", v, of=lambda o: o["draft"].upper())
    assert edge.select({"draft": "a"}) == "A"
    assert edge.put({"draft": "a"}, "b") == {"draft": "a"}


def test_an_edge_is_frozen_and_comparable() -> None:
    edge = ValidationEdge("w", v)
    with pytest.raises(dataclasses.FrozenInstanceError):
        edge.step = "x"  # type: ignore[misc]
    assert edge == ValidationEdge("w", v)
    assert edge != ValidationEdge("w", v, max_attempts=3)


class Task:
    """An object of a host that carries its step's name."""

    def __init__(self, name: str | None) -> None:
        self.name = name


def test_a_hosts_own_object_names_its_step() -> None:
    """A CrewAI task or an AutoGen agent stands for the step of its name."""
    writer, reader, desk = Task("writer"), Task("reader"), Task("desk")
    edge = ValidationEdge(writer, v, back_to=(writer, reader, START), otherwise=desk)
    assert edge == ValidationEdge(
        "writer", v, back_to=("writer", "reader", START), otherwise="desk"
    )
    assert ValidationEdge(writer, v, back_to=reader).back_to == ("reader",)
    for make in (
        lambda: ValidationEdge(Task(None), v),
        lambda: ValidationEdge("w", v, back_to=Task(None)),
        lambda: ValidationEdge("w", v, otherwise=Task("")),
    ):
        with pytest.raises(PolicyError, match="a Task without a name; give it one"):
            make()
    with pytest.raises(PolicyError, match="back_to is a name, not 3"):
        ValidationEdge("w", v, back_to=("w", 3))


def test_renamed() -> None:
    """A host that knows its steps by other names too; everything but names stays."""
    edge = ValidationEdge("tasks[1]", v, of="text", back_to=("tasks[0]", START), otherwise=STOP)
    names = {"tasks[0]": "reader", "tasks[1]": "writer"}
    found = edge.renamed(lambda name: names.get(name, name))
    assert found == ValidationEdge(
        "writer", v, of="text", back_to=("reader", START), otherwise=STOP
    )
    assert edge.step == "tasks[1]"


def test_a_policy_renamed() -> None:
    from coord_plugins import Budget, Retry
    from coord_plugins.host import make_policy

    def name_of(name: str) -> str:
        return name.replace("tasks[", "step ").rstrip("]")

    policy = make_policy(
        ValidationEdge("tasks[1]", v),
        pipeline="p",
        retry={"*": Retry(), "tasks[0]": Retry(fallbacks=["tasks[2]", len]), "tasks[1]": None},
        budget=Budget(max_tokens=1, otherwise="tasks[2]"),
    ).renamed(name_of)
    assert list(policy.edges) == ["step 1"]
    assert list(policy.retry) == ["*", "step 0", "step 1"]
    assert policy.retry["step 0"] == Retry(fallbacks=["step 2", len])
    assert policy.budget == Budget(max_tokens=1, otherwise="step 2")
    twice = make_policy(ValidationEdge("tasks[1]", v), ValidationEdge("step 1", v), pipeline="p")
    with pytest.raises(PolicyError, match="two edges for step 'step 1'"):
        twice.renamed(name_of)

"""`--apply`: Python that makes the planned edges and round trips."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from typing import Any

import pydantic
import pytest

from coord_plugins import HUMAN, STOP, ValidationEdge, check, judge, schema
from coord_plugins._describe import describe
from coord_plugins._policy import Host
from coord_plugins.host import make_policy
from coord_plugins.planning import (
    Amount,
    MeasuredStep,
    MeasuredValidator,
    PipelineRates,
    Share,
    edges_source,
    plan,
)

NAMES = ("a", "b", "c")


class Reply(pydantic.BaseModel):
    text: str


def is_short(output: Any) -> bool:
    return len(str(output)) < 10


def is_kind(output: Any) -> bool:
    return True


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the user's, that can be imported."""
    module = types.ModuleType("my_checks")
    for thing in (Reply, is_short, is_kind):
        monkeypatch.setattr(thing, "__module__", "my_checks")
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "my_checks", module)
    return module


def rates(*edges: ValidationEdge) -> PipelineRates:
    """Three bad steps, so that each needs an edge, with these edges as recorded."""
    said = MeasuredValidator(
        names=("v",),
        sensitivity=Share(value=0.9),
        specificity=Share(value=0.97),
        upstream=Share(value=0.0),
        cost=Amount(mean=0.01),
    )
    steps = tuple(
        MeasuredStep(name=n, right=Share(value=0.8), cost=Amount(mean=1.0), validator=said)
        for n in NAMES
    )
    policy = describe(make_policy(*edges, pipeline="p"), "id", Host(name="x"))
    return PipelineRates(steps=steps, pipeline="p", policies=(policy,))


def run(source: str) -> list[ValidationEdge]:
    scope: dict[str, Any] = {}
    exec(source, scope)
    edges: list[ValidationEdge] = scope["edges"]
    return edges


def test_the_edges_are_those_of_python(mine: types.ModuleType) -> None:
    """What is printed makes what `Plan.edges` makes of the recorded edges."""
    mine.also_kind = judge(is_kind, name="also kind", feedback='say "please"')  # type: ignore[attr-defined]
    recorded = [
        ValidationEdge("a", schema(Reply), check(is_short, feedback="cut it"), of="draft"),
        ValidationEdge(
            "b",
            judge(is_kind, version="2", timeout=3.0),
            otherwise=HUMAN,
            feedback_to="notes",
            stream="live",
        ),
        ValidationEdge("c", mine.also_kind, otherwise=STOP),
    ]
    found = plan(rates(*recorded), target=0.9)
    assert {p.step for p in found.placements} == set(NAMES)
    source, missing = edges_source(found)
    assert missing == []
    assert "from my_checks import Reply, also_kind, is_kind, is_short" in source
    assert "from coord_plugins import HUMAN, STOP, ValidationEdge, check, judge, schema" in source
    made, wanted = run(source), found.edges(recorded)
    for one, other in zip(made, wanted, strict=True):
        for name in (
            "step",
            "of",
            "back_to",
            "max_attempts",
            "otherwise",
            "feedback_to",
            "stream",
        ):
            assert getattr(one, name) == getattr(other, name), name
        for v, w in zip(one.validators, other.validators, strict=True):
            assert (v.name, v.kind, v.version, v.feedback, v.timeout) == (
                w.name,
                w.kind,
                w.version,
                w.feedback,
                w.timeout,
            )
    assert made[2].validators[0] is mine.also_kind


def test_a_ladder_is_written_as_a_tuple(mine: types.ModuleType) -> None:
    recorded = [ValidationEdge(n, check(is_short)) for n in NAMES]
    found = plan(rates(*recorded), target=0.9)
    one, other = found.placements[0], found.placements[1]
    placements = (
        replace(one, back_to=(), max_attempts=1),
        replace(other, back_to=("a",), max_attempts=2),
        replace(found.placements[2], back_to=("c", "a"), max_attempts=3),
    )
    source, _ = edges_source(replace(found, placements=placements))
    assert 'back_to=("a",),' in source
    assert 'back_to=("c", "a"),' in source
    made = run(source)
    assert [(e.back_to, e.max_attempts) for e in made] == [
        (("a",), 1),
        (("a",), 2),
        (("c", "a"), 3),
    ]


def test_what_can_not_be_imported_is_a_name_to_fill_in(mine: types.ModuleType) -> None:
    recorded = [
        ValidationEdge("a", check(lambda output: True, name="is fine")),
        ValidationEdge("b", check(is_short), of=lambda output: output),
        ValidationEdge("c", check(lambda output: True, name="is fine")),
    ]
    found = plan(rates(*recorded), target=0.9)
    source, missing = edges_source(found)
    assert len(missing) == 3
    assert "is_fine = ...  # fill in: the validator 'is fine' of a; it can not be" in source
    assert "is_fine_2 = ...  # fill in: the validator 'is fine' of c" in source
    assert "of_b = ...  # fill in: what the validators of b see (of=)" in source
    assert "        of=of_b," in source
    compile(source, "edges", "exec")


def test_names_that_collide_get_another(mine: types.ModuleType) -> None:
    other = types.ModuleType("other_checks")
    recorded = [ValidationEdge(n, check(is_short)) for n in NAMES]
    given = rates(*recorded)
    policy = dict(given.policies[0])
    edges = [dict(edge) for edge in policy["edges"]]
    edges[1] = {
        **edges[1],
        "validators": [{**edges[1]["validators"][0], "import": "other_checks:is_short"}],
    }
    other.is_short = is_kind  # type: ignore[attr-defined]
    sys.modules["other_checks"] = other
    try:
        found = plan(replace(given, policies=({**policy, "edges": edges},)), target=0.9)
        source, _ = edges_source(found)
        assert "from other_checks import is_short as is_short_2" in source
        assert run(source)[1].validators[0].fn is is_kind
    finally:
        del sys.modules["other_checks"]


def test_main_can_not_be_imported(mine: types.ModuleType) -> None:
    given = rates(*[ValidationEdge(n, check(is_short)) for n in NAMES])
    policy = dict(given.policies[0])
    for edge in policy["edges"]:
        for said in edge["validators"]:
            said["import"] = "__main__:is_short"
    _, missing = edges_source(plan(replace(given, policies=(policy,)), target=0.9))
    assert missing[0] == "is_short: the validator 'is_short' of a; it can not be imported"


def test_without_recorded_policies_every_validator_is_to_fill_in() -> None:
    found = plan(replace(rates(ValidationEdge("a", check(is_short))), policies=()), target=0.9)
    source, missing = edges_source(found)
    assert len(missing) == 3
    compile(source, "edges", "exec")


def test_no_edges() -> None:
    found = plan(rates(ValidationEdge("a", check(is_short))), target=0.4)
    source, missing = edges_source(replace(found, placements=()))
    assert run(source) == []
    assert missing == []


def test_a_target_that_is_not_reached_is_said_in_the_text() -> None:
    found = plan(rates(ValidationEdge("a", check(is_short))), target=0.999)
    assert "# The target of 99.9 % is not reached; this is the best." in edges_source(found)[0]

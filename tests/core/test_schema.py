"""`schema`: shapes, JSON text, and repairs that lose and invent nothing."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypedDict

from coord_plugins import Handover, ValidationEdge, Verdict, schema
from coord_plugins._schema import repaired
from coord_plugins.testing import simulate

pytest.importorskip("json_repair")


class Reply(BaseModel):
    amount: int
    text: str = ""


@dataclasses.dataclass
class Point:
    x: int


class Shape(TypedDict):
    side: int


CTX = Handover(run_id="r", step="s", attempt=1, inputs=None, input=None, outputs={}, metadata={})


def said(model: Any, output: Any, **settings: Any) -> Verdict:
    validator = schema(model, **settings)
    return validator.verdict(validator.call(output, CTX))


def test_shapes() -> None:
    assert said(Reply, {"amount": 7}).value == Reply(amount=7)
    assert said(Reply, '{"amount": 7}').value == Reply(amount=7)
    assert said(Reply, b'{"amount": 7}').value == Reply(amount=7)
    assert said(Point, {"x": 1}).value == Point(1)
    assert said(Shape, '{"side": 2}').value == {"side": 2}
    assert said(list[int], "[1, 2]").value == [1, 2]
    assert said(str, "plain").passed
    done = Reply(amount=1)
    assert said(Reply, done).passed


def test_a_rejection_names_field_and_reason() -> None:
    verdict = said(Reply, {"amount": "many"})
    assert (verdict.passed, verdict.name) == (False, "schema(Reply)")
    assert str(verdict.explanation).startswith("amount: Input should be a valid integer")
    assert "amount: Field required" in str(said(Reply, {}).explanation)


def test_many_errors_are_cut() -> None:
    verdict = said(list[int], ["x"] * 20)
    assert str(verdict.explanation).count("valid integer") == 8
    assert str(verdict.explanation).endswith("; and 12 more")


def test_strict() -> None:
    assert said(Reply, {"amount": "7"}).passed
    assert not said(Reply, {"amount": "7"}, strict=True).passed


def test_without_replacing_it_only_checks() -> None:
    assert said(Reply, '{"amount": 7}', replace=False).value is None


SAFE = [
    ('```json\n{"amount": 7}\n```', {"amount": 7}),
    ('Here it is: {"amount": 7} Hope it helps!', {"amount": 7}),
    ('{"amount": 7,}', {"amount": 7}),
    ("{'amount': 7}", {"amount": 7}),
    ("{amount: 7}", {"amount": 7}),
    ('{"amount": 7, "text": "a", }', {"amount": 7, "text": "a"}),
    ('{"amount": 7 "text": "a"}', {"amount": 7, "text": "a"}),
    ('{"amount": 7, "text": None}', {"amount": 7, "text": None}),
    ('{"flag": True, "other": False}', {"flag": True, "other": False}),
    ("[1, 2, 3,]", [1, 2, 3]),
    ('{"text": "he said "no" to it"}', {"text": 'he said "no" to it'}),
    ('{"text": "two\nlines\tand a tab"}', {"text": "two\nlines\tand a tab"}),
    ('{"a": 1; "b": -2.5}', {"a": 1, "b": -2.5}),
    ('{"share": "7%", }', {"share": "7%"}),
    ("{'text': 'and so on...'}", {"text": "and so on..."}),
    (
        "{'a': None, 'text': 'None of it', \"b\": [None]}",
        {"a": None, "text": "None of it", "b": [None]},
    ),
    ('{"a": {}, "b": [],}', {"a": {}, "b": []}),
]

UNSAFE = [
    '{"amount": 7',  # cut off
    '{"amount": 7, "text": "the invoi',
    '{"amount": 7, "text": "x"',
    '[{"a": 1}, {"a": 2',
    '{"a": [1, 2}',
    "no JSON at all",
    "",
    '{"amount": }',
    '{"amount": 7, // the sum\n "text": "a"}',  # a comment would be lost
    '{"a": 1} {"a": 2}',
    '{"a": ...}',
    '{"a": 1, ...}',
    '{"a": 1, "b": [1, 2, ...]}',
    '{"a": -}',
    '{"a": , "b": 1}',
    "[1, , 2]",
    '{"a": \u22127}',  # a sign, a bound or a unit would be lost
    '{"a": (7)}',
    '{"a": <7}',
    '{"a": 7%}',
    '{"a": 7-}',
    '{"a": $7}',
    '{"a": !true}',
    '{"a": "x" + "y"}',
    '{"a": "1", "b", "c": 2}',
    '{"a": 1, "a": 2,}',  # the first would be lost
    '{"a": "5" "6"}',
    '{"text": "a, "b": 2}',
]


@pytest.mark.parametrize(("text", "value"), SAFE)
def test_safe_repairs(text: str, value: Any) -> None:
    mended = repaired(text)
    assert mended is not None
    assert json.loads(mended) == value


@pytest.mark.parametrize("text", UNSAFE)
def test_unsafe_repairs_are_refused(text: str) -> None:
    """Cut off, or something would be lost or made up."""
    assert repaired(text) is None


def test_a_repair_is_labelled() -> None:
    verdict = said(Reply, '```json\n{"amount": 7,}\n```')
    assert (verdict.passed, verdict.label, verdict.value) == (True, "repaired", Reply(amount=7))
    assert said(Reply, '{"amount": 7}').label is None
    assert not said(Reply, '{"amount": 7,}', repair=False).passed


def test_a_repaired_text_must_still_fit() -> None:
    verdict = said(Reply, '{"amount": "many",}')
    assert (verdict.passed, verdict.label) == (False, None)


def test_in_a_run_a_repair_is_no_event() -> None:
    seen = simulate(
        ValidationEdge("writer", schema(Reply)),
        {"writer": '{"amount": 7,}'},
        goal=lambda o: o == Reply(amount=7),
    )
    assert seen.outcome == "success.first_pass"
    assert seen.record is not None
    assert seen.record.steps["writer"].validators["schema(Reply)"][:4] == [1, 1, 0, 0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, min_size=1, max_size=4))
def test_valid_json_is_never_touched(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(repaired(text) or "null") == value


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=5),
        st.integers() | st.text("xyz ", max_size=8),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 200),
)
def test_text_that_was_cut_off_is_never_taken(value: Any, cut: int) -> None:
    text = json.dumps(value)
    part = text[: max(0, len(text) - cut)]
    assert repaired(part) is None


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=5),
        st.integers() | st.text("xyz", max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_a_trailing_comma_loses_nothing(value: Any) -> None:
    text = json.dumps(value)[:-1] + ",}"
    mended = repaired(text)
    assert mended is not None
    assert json.loads(mended) == value


def _data() -> list[dict[str, Any]]:
    folder = os.environ.get("COORD_TEST_DATA")
    path = Path(folder or "/nonexistent") / "malformed_json" / "json_repair_pairs.json"
    if not path.is_file():
        pytest.skip("COORD_TEST_DATA names no folder with malformed_json")
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def test_on_real_malformed_json() -> None:
    """218 pairs that models wrote: what is taken has every word of the text, in order."""
    pairs = [p for p in _data() if isinstance(p["input"], str)]
    taken = {p["input"]: m for p in pairs if (m := repaired(p["input"])) is not None}
    agrees = 0
    for pair in pairs:
        mended = taken.get(pair["input"])
        if mended is None:
            continue
        value = json.loads(mended)
        try:
            agrees += value == json.loads(pair["expected"])
        except (TypeError, ValueError):
            agrees += value == pair["expected"]
    assert len(pairs) >= 200
    assert len(taken) >= 40
    # the others are texts with several answers, where the pair keeps more than the outermost
    assert agrees / len(taken) > 0.75, [
        (p["input"], taken[p["input"]], p["expected"]) for p in pairs if p["input"] in taken
    ]

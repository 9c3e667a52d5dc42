"""Rates from a description in a file: what it may say, and how errors name their place."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from coord_plugins import PolicyError
from coord_plugins.planning import rates_from_file

pytest.importorskip("yaml", reason="PyYAML comes with the extra cli")

FULL = """\
pipeline: support
unit: cents
steps:
  - name: research
    right: 97/100
    cost: 1.5
    repeat: 0.5
    transient: 0.1
    fatal: 1/200
    invalid: 0.02
    tries: 3
    validator:
      name: cites a source
      sensitivity: 45/50
      specificity: 0.97
      cost: 0.2
    edge: {max_attempts: 3}
  - name: write
    right: 0.9
    sticky: 0.25
    validator: {sensitivity: 0.8, specificity: 1, upstream: 3/4}
    edge: {back_to: [write, research]}
  - name: send
    right: 1
"""


def write(directory: Path, text: str, name: str = "steps.yaml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_all_that_a_file_may_say(tmp_path: Path) -> None:
    rates = rates_from_file(write(tmp_path, FULL))
    assert (rates.pipeline, rates.unit, rates.runs) == ("support", "cents", 0)
    research, draft, send = rates.steps
    assert (research.right.yes, research.right.no) == (97, 3)
    assert research.right.mean == pytest.approx(97.5 / 101)
    assert (research.cost.mean, research.tries, research.fatal.yes) == (1.5, 3, 1)
    assert (research.transient.value, research.invalid.value) == (0.1, 0.02)
    assert research.validator.names == ("cites a source",)
    assert (research.validator.sensitivity.yes, research.validator.specificity.value) == (45, 0.97)
    assert research.validator.upstream is None
    assert (draft.sticky, draft.validator.upstream.no) == (0.25, 1)
    assert send.validator is None
    steps, judges = rates.mean()
    assert steps[0].sticky == pytest.approx(1 - 0.5 / (97.5 / 101))
    assert [step.sticky for step in steps[1:]] == [0.25, 0.0]
    assert judges[1].sensitivity_upstream == pytest.approx(3.5 / 5)
    first, second = rates.present
    assert (first.step, first.back_to, first.max_attempts) == ("research", (), 3)
    assert (second.back_to, second.max_attempts) == (("write", "research"), 3)
    assert str(research.right) == "97/100"
    assert str(draft.right) == "0.9"


def test_json_says_the_same(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    path = write(tmp_path, json.dumps(yaml.safe_load(FULL)), "steps.json")
    assert rates_from_file(path) == rates_from_file(write(tmp_path, FULL))


def test_exact_rates_are_certain(tmp_path: Path) -> None:
    rates = rates_from_file(write(tmp_path, "steps:\n  - {name: a, right: 0.9}\n", "mine.yaml"))
    assert rates.certain
    assert rates.pipeline == "mine"
    assert rates.present == ()


STEP = "steps:\n  - name: a\n    right: 0.9\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: []", "steps: list should have at least 1 item"),
        ("pipeline: x", "steps is missing"),
        ("- a", "write keys at the top"),
        ("steps:\n  - right: 0.9\n", "step number 1: name is missing"),
        ("steps:\n  - name: a\n", "step 'a': right is missing"),
        ("steps:\n  - 7\n", "step number 1: input should be a valid dictionary"),
        (STEP.replace("0.9", "1.2"), "step 'a': right: 1.2 is neither a rate from 0 to 1 nor"),
        (STEP.replace("0.9", "7/5"), "step 'a': right: '7/5' is no share: write the smaller"),
        (STEP.replace("0.9", "0/0"), "'0/0' is no share"),
        (STEP.replace("0.9", "yes"), "step 'a': right: True is neither a rate"),
        (STEP + "    speed: 3\n", "step 'a': speed: there is no such key"),
        (STEP + "    cost: -1\n", "step 'a': cost: input should be greater than or equal to 0"),
        (STEP + "    cost: '1'\n", "step 'a': cost: input should be a valid number"),
        (STEP + "    tries: 0\n", "step 'a': tries: input should be greater than or equal to 1"),
        (STEP + "    repeat: 0.5\n    sticky: 0.5\n", "step 'a': give repeat or sticky, not both"),
        (STEP + "    edge: {max_attempts: 2}\n", "step 'a': it has an edge and no validator"),
        (
            STEP + "    validator: {sensitivity: 0.9}\n",
            "step 'a': validator.specificity is missing",
        ),
        (STEP + STEP.partition("\n")[2], "step 'a' is given twice"),
        (
            STEP + "    validator: {sensitivity: 1, specificity: 1}\n    edge: {back_to: b}\n",
            "the present edge at 'a' goes back to 'b', which is neither",
        ),
        (
            STEP
            + "    validator: {sensitivity: 1, specificity: 1}\n"
            + "    edge: {back_to: [a, a], max_attempts: 2}\n",
            "step 'a': 2 targets need max_attempts of at least 3, not 2",
        ),
        (
            STEP + "    fatal: 0.5\n    transient: 0.4\n    invalid: 0.2\n",
            r"transient \+ fatal \+ invalid = 1.1 exceeds 1",
        ),
        ("steps: [", "line 1: "),
        ("a: b: c\n", "line 1: mapping values are not allowed here"),
    ],
)
def test_errors_name_the_step_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        rates_from_file(write(tmp_path, text))


def test_files_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match="cannot read .*missing.yaml: No such file"):
        rates_from_file(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="not UTF-8"):
        rates_from_file(tmp_path / "binary.yaml")
    with pytest.raises(PolicyError, match="steps.json: line 1: "):
        rates_from_file(write(tmp_path, "{", "steps.json"))
    path = write(tmp_path, STEP)
    real = builtins.__import__

    def without_yaml(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    with pytest.raises(PolicyError, match=r"YAML needs PyYAML; pip install 'coord-plugins\[cli\]'"):
        rates_from_file(path)

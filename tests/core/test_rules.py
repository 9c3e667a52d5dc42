"""Each numbered rule, when disabled, is noticed by its conformance test."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


def _rules() -> Any:
    path = Path(__file__).parents[1] / "rules.py"
    spec = importlib.util.spec_from_file_location("coord_rules", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coord_rules"] = module  # NamedTuple and dataclasses look it up there
    spec.loader.exec_module(module)
    return module


rules = _rules()


@pytest.mark.slow
@pytest.mark.parametrize("rule", rules.RULES, ids=[f"{r.number} {r.what}" for r in rules.RULES])
def test_a_disabled_rule_is_noticed(rule: Any) -> None:
    assert rules.killed_by(rule) != []


def test_every_numbered_rule_is_disabled_once() -> None:
    wanted = {f"4.1.{n}" for n in range(1, 12)} | {f"4.2.{n}" for n in range(1, 6)}
    wanted |= {"4.3", "4.4.1", "4.4.2", "4.4.3"}
    assert {r.number for r in rules.RULES} == wanted
    assert set(rules.numbers()) == wanted

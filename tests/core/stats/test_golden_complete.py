"""Every golden entry is reproduced by exactly one test module, or named as simulated."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

CORE = Path(__file__).parents[1]
GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (CORE.parent / "data" / "golden.json").read_text(encoding="utf-8")
)


def claiming() -> list[ModuleType]:
    """The test modules that say which entries they reproduce."""
    found = []
    for path in sorted(CORE.glob("*/test_*.py")):
        if not any(line.startswith("REPRODUCED") for line in path.read_text().splitlines()):
            continue
        spec = importlib.util.spec_from_file_location(f"claims_{path.parent.name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return found


def test_every_entry_is_claimed_once() -> None:
    claims = Counter(entry for module in claiming() for entry in module.REPRODUCED)
    entries = {(section, key) for section, found in GOLDEN.items() for key in found}
    assert entries - set(claims) == set(), "nobody reproduces them"
    assert set(claims) - entries == set(), "no such entries"
    assert {entry for entry, times in claims.items() if times > 1} == set(), "claimed twice"


def test_what_is_simulated_is_named_with_its_reason() -> None:
    for module in claiming():
        for (section, key), fields in getattr(module, "SIMULATED", {}).items():
            assert (section, key) in module.REPRODUCED
            assert set(fields) <= set(GOLDEN[section][key]), "no such fields"
            assert all(fields.values())

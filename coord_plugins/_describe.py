"""What was attached, as plain values: a store keeps it beside the runs, a planner reads it back.

A validator is named by where its code can be imported from, when it can: as an object of the
module that defines its function, or as that function.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ._edge import ValidationEdge
from ._policy import Host, Policy
from ._validators import Validator, name_of

_KEPT = 1_000
"""Descriptions kept for stores that open later."""
_known: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
_SETTINGS = "feedback version on_error timeout mode".split()


def remember(policy: Policy, policy_id: str, host: Host) -> None:
    """Keep a policy's description for the stores that its runs will go to."""
    key = policy.pipeline, policy_id
    if key in _known:
        return
    _known[key] = describe(policy, policy_id, host)
    if len(_known) > _KEPT:
        _known.popitem(last=False)


def remember_edge(pipeline: str, policy_id: str, edge: ValidationEdge) -> None:
    """Add an edge that a decorated function brought; its first one of a step stays."""
    known = _known.get((pipeline, policy_id))
    if known is not None and all(e["step"] != edge.step for e in known["edges"]):
        # a new object: another thread may be writing the old one
        known = {**known, "edges": [*known["edges"], _edge(edge)]}
        _known[pipeline, policy_id] = known


def remembered(pipeline: str, policy_id: str) -> Mapping[str, Any] | None:
    """The description of a policy that was attached in this process; None: there was none."""
    return _known.get((pipeline, policy_id))


def describe(policy: Policy, policy_id: str, host: Host) -> dict[str, Any]:
    """A policy as plain JSON values."""
    return {
        "pipeline": policy.pipeline,
        "policy_id": policy_id,
        "host": host.name,
        "goal_id": policy.goal_id,
        "labelled": policy.label is not None,
        "edges": [_edge(edge) for edge in policy.edges.values()],
    }


def _edge(edge: ValidationEdge) -> dict[str, Any]:
    otherwise = edge.otherwise
    return {
        "step": edge.step,
        "of": _named_or_callable(edge.of),
        "back_to": list(edge.back_to),
        "max_attempts": edge.max_attempts,
        "otherwise": None if otherwise is None else str(otherwise),
        "feedback_to": _named_or_callable(edge.feedback_to),
        "stream": edge.stream,
        "validators": [_validator(v) for v in edge.validators],
    }


def _named_or_callable(said: Any) -> str | None:
    return said if said is None or isinstance(said, str) else "(callable)"


def _validator(validator: Validator) -> dict[str, Any]:
    place, how = _origin(validator)
    return {
        "name": validator.name,
        "kind": validator.kind,
        "version": validator.version,
        "import": place,
        "how": how,
        "options": _options(validator, how),
    }


def _origin(validator: Validator) -> tuple[str | None, str | None]:
    """Where the validator's code is ("module:name"), and what makes a validator of it."""
    fn = validator.fn
    module = getattr(fn, "__module__", None)
    if validator.model is not None:
        place = _place(validator.model.__module__, validator.model)
        return place, None if place is None else "schema"
    own = _place(module, validator)
    if own is not None:
        return own, "object"
    place = _place(module, fn)
    how = {"code": "check", "llm": "judge"}.get(validator.kind)
    return (place, how) if place is not None and how is not None else (None, None)


def _place(module: str | None, wanted: Any) -> str | None:
    names = vars(sys.modules[module]) if module in sys.modules else {}
    for name, value in list(names.items()):
        if value is wanted:
            return f"{module}:{name}"
    return None


def _options(validator: Validator, how: str | None) -> dict[str, Any]:
    """The settings that differ from the defaults, where the validator has to be made anew."""
    if how not in ("check", "judge"):
        return {}
    defaults = {f.name: f.default for f in fields(Validator)}
    found = {
        name: getattr(validator, name)
        for name in _SETTINGS
        if getattr(validator, name) != defaults[name]
    }
    if validator.name != name_of(validator.fn):
        found["name"] = validator.name
    return found

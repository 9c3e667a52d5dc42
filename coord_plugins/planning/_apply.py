"""A plan as Python: edges with the recorded validators, to be attached instead of the old ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._edge import HUMAN, STOP
from ._evidence import PlannedEdge
from ._types import Plan

_CONSTANTS = {HUMAN: "HUMAN", STOP: "STOP"}


@dataclass(slots=True)
class _Source:
    """What the text needs before its edges."""

    ours: set[str] = field(default_factory=lambda: {"ValidationEdge"})
    """Names of `coord_plugins`."""
    theirs: dict[str, str] = field(default_factory=dict)
    """What is imported ("module:name"), by the name that it gets."""
    missing: dict[str, str] = field(default_factory=dict)
    """Names to fill in, and what for."""

    def name(self, place: str) -> str:
        """The name under which something is imported."""
        wanted = place.partition(":")[2]
        name, number = wanted, 2
        while name in self.ours or self.theirs.get(name, place) != place or name in self.missing:
            name, number = f"{wanted}_{number}", number + 1
        self.theirs[name] = place
        return name

    def placeholder(self, wanted: str, why: str) -> str:
        """A name that the user has to fill in."""
        plain = "".join(c if c.isalnum() else "_" for c in wanted).strip("_") or "validator"
        plain = plain if not plain[0].isdigit() else f"_{plain}"
        name, number = plain, 2
        while name in self.ours or name in self.theirs or self.missing.get(name, why) != why:
            name, number = f"{plain}_{number}", number + 1
        self.missing[name] = why
        return name


def edges_source(plan: Plan) -> tuple[str, list[str]]:
    """Python that makes the planned edges, with the validators that were recorded.

    Args:
        plan: A plan from recorded runs whose rates carry the store's policies.

    Returns:
        The text, which defines `edges`; and what has to be filled in, one sentence each: what
        can not be imported (a lambda, a closure, something defined in `__main__`).
    """
    source = _Source()
    source.ours |= {"HUMAN", "STOP", "check", "judge", "schema"}  # not to be shadowed
    bodies = [list(_edge(place, plan, source)) for place in plan.placements]
    text = [line for body in bodies for line in body]
    joined = "\n".join(text)
    ours = sorted(
        (name for name in source.ours if f"{name}(" in joined or f"={name}," in joined),
        key=lambda name: (not name.isupper(), not name[0].isupper(), name),
    )
    lines = [*_head(plan), f"from coord_plugins import {', '.join(ours or ['ValidationEdge'])}"]
    lines += _imports(source)
    lines += ["", *(f"{name} = ...  # fill in: {why}" for name, why in source.missing.items())]
    lines += ["" if source.missing else None, *_list(text)]  # type: ignore[list-item]  # taken out below
    wanted = [f"{name}: {why}" for name, why in source.missing.items()]
    return "\n".join(line for line in lines if line is not None) + "\n", wanted


def _head(plan: Plan) -> Iterator[str]:
    success, cost = plan.expected.success, plan.expected.cost
    yield (
        f"# coord plan for {plan.pipeline!r}: success {100 * success.mean:.2f} % "
        f"[{100 * success.low:.2f}, {100 * success.high:.2f}], cost {cost.mean:.4g} "
        f"{plan.unit} a run."
    )
    if not plan.reached:
        yield f"# The target of {100 * (plan.target or 0):.4g} % is not reached; this is the best."


def _imports(source: _Source) -> Iterator[str]:
    modules: dict[str, list[str]] = {}
    for name, place in source.theirs.items():
        module, _, wanted = place.partition(":")
        modules.setdefault(module, []).append(wanted if wanted == name else f"{wanted} as {name}")
    if modules:
        yield ""
    for module in sorted(modules):
        yield f"from {module} import {', '.join(sorted(modules[module]))}"


def _list(text: list[str]) -> list[str]:
    return ["edges = [", *text, "]"] if text else ["edges = []"]


def _edge(place: PlannedEdge, plan: Plan, source: _Source) -> Iterator[str]:
    recorded = _recorded(place.step, plan)
    yield "    ValidationEdge("
    yield f"        {_text(place.step)},"
    for said in recorded["validators"] if recorded else _unknown(place):
        yield f"        {_validator(said, place.step, source)},"
    of = recorded["of"] if recorded else None
    if of == "(callable)":
        why = f"what the validators of {place.step} see (of=)"
        yield f"        of={source.placeholder(f'of_{place.step}', why)},"
    elif of is not None:
        yield f"        of={_text(of)},"
    if place.back_to:
        listed = ", ".join(_text(target) for target in place.back_to)
        yield f"        back_to=({listed}{',' if len(place.back_to) == 1 else ''}),"
    yield f"        max_attempts={place.max_attempts},"
    otherwise = recorded["otherwise"] if recorded else None
    if otherwise is not None:
        yield f"        otherwise={_CONSTANTS.get(otherwise) or _text(otherwise)},"
    route = recorded.get("feedback_to") if recorded else None
    if route == "(callable)":
        why = f"where feedback for {place.step} goes (feedback_to=)"
        yield f"        feedback_to={source.placeholder(f'feedback_to_{place.step}', why)},"
    elif route is not None:
        yield f"        feedback_to={_text(route)},"
    if recorded and recorded.get("stream", "hold") != "hold":
        yield f"        stream={_text(recorded['stream'])},"
    yield "    ),"


def _recorded(step: str, plan: Plan) -> Mapping[str, Any] | None:
    """The edge that was attached at a step, by the policy with the most runs that has one."""
    for policy in plan.rates.policies:
        for edge in policy["edges"]:
            if edge["step"] == step:
                found: Mapping[str, Any] = edge
                return found
    return None


def _unknown(place: PlannedEdge) -> list[dict[str, Any]]:
    return [{"name": name, "import": None} for name in place.validators or (f"{place.step}_check",)]


def _validator(said: Mapping[str, Any], step: str, source: _Source) -> str:
    where, how = said.get("import"), said.get("how")
    if not where or str(where).startswith("__main__:"):
        why = f"the validator {said['name']!r} of {step}; it can not be imported"
        return source.placeholder(said["name"], why)
    name = source.name(where)
    if how == "object" or how is None:
        return name
    options = "".join(f", {key}={_value(option)}" for key, option in said["options"].items())
    return f"{how}({name}{options})"


def _value(option: Any) -> str:
    return _text(option) if isinstance(option, str) else repr(option)


def _text(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)

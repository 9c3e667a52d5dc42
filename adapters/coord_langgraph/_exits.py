"""Where a visit leads when its candidate is not accepted: back, to a stand-in, to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import Command, Send

from coord_plugins import HUMAN, START, STOP, StepTally
from coord_plugins.host import Escalate

from . import _human
from ._values import as_fields
from ._writers import Diverted

if TYPE_CHECKING:
    from ._visit import Visit

HUMAN_ARG = "__coord_human__"
"""Marks the argument of a `Send` that brings a rejected candidate back for a person."""


def back_to(visit: Visit, target: str) -> Diverted:
    """Go back: each target runs on the input it had when it last ran in this run."""
    found, topology = visit.graph_run, visit.node.topology
    entries: tuple[str, ...] = (target,)
    certain = entries
    if target == START:  # its conditional edges are evaluated again, by their own writers
        entries, certain = topology.entries, topology.static_entries
        visit.branches = list(visit.node.entry_branches)
        visit.start_input = (found.inputs.get(START) or {"args": [None]})["args"][0]
    goto: list[Any] = []
    for entry in entries:
        kept = found.inputs.get(entry)
        if kept is not None and not kept["push"]:
            found.again[entry] = visit.superstep
            visit.change[f"g:{entry}"] = visit.superstep
        if entry not in certain:
            continue
        if kept is not None and kept["push"]:
            goto += [Send(entry, argument) for argument in kept["args"]]
        else:
            goto.append(entry)
    return Diverted(goto=goto)


def otherwise(visit: Visit, target: str, decision: Escalate) -> Diverted:
    """The attempts are spent: a step stands in, a person decides, or nothing follows."""
    if target == STOP:
        return Diverted(goto=())
    if target == HUMAN:
        return _to_human(visit, decision)
    return Diverted(goto=[Send(target, visit.input) if visit.push else target])


def _to_human(visit: Visit, decision: Escalate) -> Diverted:
    name, edge = visit.node.name, visit.node.edge
    waits = {
        "output": as_fields(decision.value),
        "goto": _names(visit.raw),
        "why": str(decision.error),
        "attempts": edge.max_attempts if edge is not None else 1,
    }
    if visit.push:
        return Diverted(goto=[Send(name, {HUMAN_ARG: waits})])
    visit.graph_run.waiting[name] = waits
    visit.change[f"h:{name}"] = waits
    return Diverted(goto=[name])


def waiting(visit: Visit, input: Any) -> dict[str, Any] | None:
    """The candidate that this visit only brings before a person, or None: it works."""
    found: dict[str, Any] | None
    if visit.push:
        found = input.get(HUMAN_ARG) if isinstance(input, dict) else None
    else:
        found = visit.graph_run.waiting.get(visit.node.name)
    return found


def decided_by_human(visit: Visit) -> Any:
    """Ask the person; their word is the node's output."""
    assert visit.waiting is not None
    name, found = visit.node.name, visit.graph_run
    output = _human.ask(found.run, name, visit.waiting)
    if not visit.push:
        found.waiting.pop(name, None)
        visit.change[f"h:{name}"] = None
    visit.change[f"t:{name}"] = StepTally(human=1).to_dict()
    visit.keep()
    goto = visit.waiting["goto"]
    return Command(update=output, goto=goto) if goto else output


def _names(raw: Any) -> list[str]:
    """The nodes that a `Command` goes to, as far as a checkpoint can keep them."""
    parts = raw if isinstance(raw, (list, tuple)) else [raw]
    goto: list[Any] = []
    for command in parts:
        if isinstance(command, Command):
            goto += [command.goto] if isinstance(command.goto, (str, Send)) else command.goto
    return [g for g in goto if isinstance(g, str)]

"""Long-term memory: writes are held until the verdict, with CrewAI's real memory on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import attach
from crewai.memory.unified_memory import Memory

from coord_plugins import STOP, ValidationEdge, check

from .crews import Model, crew_of, model_of, no_bad, run_crew

fine = check(no_bad, name="fine", feedback="do better")
BOTH = ("kickoff", "akickoff")


def embed(texts: list[str]) -> list[list[float]]:
    """A vector per text that depends on its letters alone."""
    found = []
    for text in texts:
        counts = [float(text.count(letter)) + 0.1 for letter in "abcdefghijklmnop"]
        size = sum(x * x for x in counts) ** 0.5
        found.append([x / size for x in counts])
    return found


class Extractor(Model):
    """Extracts one memory from a task's result, as CrewAI asks its memory's model to."""


def memory_at(place: Path) -> tuple[Memory, Model]:
    def extracts(prompt: str, task: Any) -> str:
        result = prompt.rpartition("Result: ")[2].split("\n")[0].strip()
        return f'{{"memories": ["remember: {result}"]}}'

    extractor = model_of({"*": extracts}, Extractor)
    memory = Memory(llm=extractor, storage=str(place / "memory"), embedder=embed)
    return memory, extractor


def remembered(memory: Memory) -> list[str]:
    memory.drain_writes()
    return sorted(record.content for record in memory.list_records())


def test_crewai_remembers_what_a_guardrail_rejects(tmp_path: Path) -> None:
    """Why this is needed: CrewAI saves an output before anything has judged it."""

    def polite(output):  # type: ignore[no-untyped-def]  # CrewAI refuses annotations written as text
        return no_bad(output.raw), output.raw

    memory, _ = memory_at(tmp_path)
    host, _ = crew_of(
        {"writer": ["bad draft", "good"]}, memory=memory, tasks={"writer": {"guardrail": polite}}
    )
    run_crew(host, "kickoff")
    assert remembered(memory) == ["remember: bad draft", "remember: good"]


@pytest.mark.parametrize("form", BOTH)
def test_a_rejected_draft_is_no_memory(form: str, tmp_path: Path) -> None:
    memory, extractor = memory_at(tmp_path)
    # unlike each other, so that CrewAI does not take the second for the first
    scripts = {"reader": ["facts", "opinion"], "writer": ["bad 1", "bad 2", "good"]}
    host, _ = crew_of(scripts, memory=memory)
    edge = ValidationEdge("writer", fine, back_to=("writer", "reader"))
    attach(host, edge, pipeline="p", store="off")
    run_crew(host, form)
    assert remembered(memory) == ["remember: facts", "remember: good", "remember: opinion"]
    assert extractor.calls >= 3
    assert not any("bad" in p for found in extractor.prompts.values() for p in found), (
        "a rejected draft costs no extraction"
    )


def test_an_agents_own_memory_and_what_its_tool_saves(tmp_path: Path) -> None:
    memory, _ = memory_at(tmp_path)
    told: list[Any] = []

    def saves(prompt: str, task: Any) -> str:
        told.append(memory.remember("noted: bad idea", scope="/notes"))
        return "bad" if len(told) == 1 else "good"

    host, _ = crew_of({"writer": saves})
    host.agents[0].memory = memory
    attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")
    run_crew(host, "kickoff")
    # the tool was answered both times; the note of the accepted attempt alone is kept
    assert [t.content for t in told] == ["noted: bad idea"] * 2
    assert [t.scope for t in told] == ["/notes", "/notes"]
    assert remembered(memory) == ["noted: bad idea", "remember: good"]


def test_what_a_validator_notes_is_its_own(tmp_path: Path) -> None:
    memory, _ = memory_at(tmp_path)

    def notes(output: str) -> bool:
        memory.remember(f"lesson from {output}")
        return no_bad(output)

    host, _ = crew_of({"writer": ["bad", "good"]}, memory=memory)
    attach(host, ValidationEdge("writer", check(notes)), pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert remembered(memory) == ["lesson from bad", "lesson from good", "remember: good"]


def test_an_exhausted_task_leaves_nothing(tmp_path: Path) -> None:
    memory, _ = memory_at(tmp_path)
    host, _ = crew_of({"writer": "bad"}, memory=memory)
    attach(host, ValidationEdge("writer", fine, otherwise=STOP), pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert remembered(memory) == []


# a memory's model is serialised as a BaseLLM, which pydantic warns of in every subclass
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_without_an_edge_and_outside_of_a_run_memory_is_as_it_was(tmp_path: Path) -> None:
    memory, _ = memory_at(tmp_path)
    host, _ = crew_of({"reader": "bad facts", "writer": "good"}, memory=memory)
    attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")
    assert type(memory).__name__ == "Memory"
    memory.remember("by hand")
    run_crew(host, "kickoff")
    assert host.copy().coord is host.coord
    assert host.model_dump(include={"memory"})["memory"]["memory_kind"] == "memory"
    assert remembered(memory) == ["by hand", "remember: bad facts", "remember: good"]


def test_a_memory_that_fails_does_not_fail_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, _ = memory_at(tmp_path)
    host, _ = crew_of({"writer": ["bad", "good"]}, memory=memory)
    attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")

    def breaks(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise OSError("the disk is full")

    monkeypatch.setattr(Memory, "remember_many", breaks)
    assert run_crew(host, "kickoff").raw == "good"
    assert host.coord.last.steps["writer"].rejects == 1

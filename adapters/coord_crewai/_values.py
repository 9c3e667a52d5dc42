"""Between CrewAI's outputs and the core's host-neutral ones."""

from __future__ import annotations

import json
from typing import Any

from crewai.crews.crew_output import CrewOutput
from crewai.tasks.output_format import OutputFormat
from crewai.tasks.task_output import TaskOutput
from pydantic import BaseModel

from coord_plugins import InvalidOutputError


def neutral(output: Any) -> Any:
    """A task's or crew's output as validators see it: `.pydantic`, `.json_dict`, else `.raw`."""
    if not isinstance(output, (TaskOutput, CrewOutput)):
        return output
    if output.pydantic is not None:
        return output.pydantic
    return output.raw if output.json_dict is None else output.json_dict


def put_back(output: TaskOutput, value: Any) -> None:
    """Put a value that a verdict brought into a task's output, which CrewAI goes on to use."""
    if isinstance(value, TaskOutput):
        output.raw, output.pydantic, output.json_dict = value.raw, value.pydantic, value.json_dict
    elif isinstance(value, BaseModel):
        output.raw, output.pydantic, output.json_dict = value.model_dump_json(), value, None
    elif isinstance(value, str):
        _put_text(output, value)
    else:
        output.raw = json.dumps(value, ensure_ascii=False, default=str)
        output.pydantic, output.json_dict = None, value if isinstance(value, dict) else None


def _put_text(output: TaskOutput, text: str) -> None:
    """Text in the place of text; a structured output is read from it again."""
    shape = type(output.pydantic) if output.pydantic is not None else None
    try:
        output.pydantic = shape.model_validate_json(text) if shape is not None else None
        if output.output_format == OutputFormat.JSON:
            output.json_dict = json.loads(text)
    except ValueError as error:
        raise InvalidOutputError(
            f"a validator replaced the output by text that is no longer its "
            f"{shape.__name__ if shape is not None else 'JSON'}: {error}"
        ) from error
    output.raw = text


def output_of(value: Any) -> Any:
    """What a callable that stands in for a task returned, as an agent would have returned it."""
    if isinstance(value, (TaskOutput, CrewOutput)):
        return value.pydantic if value.pydantic is not None else value.raw
    if isinstance(value, (str, BaseModel)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def with_feedback(context: str | None, words: str) -> str:
    """A task's context with the validators' words; what earlier tasks said stays in it."""
    said = f"{FEEDBACK_HEAD}\n{words}"
    return f"{context}\n\n{said}" if context else said


FEEDBACK_HEAD = "Your previous attempt was rejected. Mend what the reviewer names:"
"""The line above the validators' words in a task's context."""

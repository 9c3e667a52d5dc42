"""The rates of a pipeline from a small YAML or JSON file: docs/planning.md describes it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import PolicyError
from ._evidence import (
    NEVER,
    NOTHING,
    Amount,
    MeasuredStep,
    MeasuredValidator,
    PipelineRates,
    PlannedEdge,
    Share,
)

_COUNTS = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")


def _share(said: Any) -> Share:
    """A rate as written: a number, or counts as text."""
    counts = _COUNTS.fullmatch(said) if isinstance(said, str) else None
    if counts is not None:
        yes, total = int(counts[1]), int(counts[2])
        if yes > total or not total:
            raise ValueError(f"{said!r} is no share: write the smaller count first")
        return Share(yes=yes, no=total - yes)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 1:
        raise ValueError(f"{said!r} is neither a rate from 0 to 1 nor counts like 97/100")
    return Share(value=float(said))


_Rate = Annotated[Share, BeforeValidator(_share)]
_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class _Validator(_Strict):
    name: str = ""
    sensitivity: _Rate
    specificity: _Rate
    upstream: _Rate | None = None
    cost: _Cost = 0.0


class _Edge(_Strict):
    back_to: str | list[str] = []
    max_attempts: Annotated[int, Field(ge=1)] | None = None


class _Step(_Strict):
    name: Annotated[str, Field(min_length=1)]
    right: _Rate
    cost: _Cost = 1.0
    repeat: _Rate | None = None
    sticky: Annotated[float, Field(ge=0, le=1)] | None = None
    fatal: _Rate = NEVER
    transient: _Rate = NEVER
    invalid: _Rate = NEVER
    tries: Annotated[int, Field(ge=1)] = 1
    validator: _Validator | None = None
    edge: _Edge | None = None


class _File(_Strict):
    pipeline: str = ""
    unit: str = "units"
    steps: Annotated[list[_Step], Field(min_length=1)]


def rates_from_file(path: str | os.PathLike[str]) -> PipelineRates:
    """Read the rates and costs of a pipeline from a YAML or JSON file.

    Args:
        path: A file of the form that docs/planning.md describes. YAML needs PyYAML
            (`pip install 'coord-plugins[cli]'`).

    Raises:
        PolicyError: The file can not be read, or something in it can not hold; the message names
            the step and the key.
    """
    name = Path(path).name
    data = _read(Path(path))
    if not isinstance(data, dict):
        raise PolicyError(
            f"{name}: write keys at the top: steps, and pipeline and unit if you like"
        )
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise PolicyError(f"{name}: {_first(error, data)}") from None
    steps = tuple(_step(step, name) for step in file.steps)
    present = tuple(_edge(step, name) for step in file.steps if step.edge is not None)
    try:
        rates = PipelineRates(
            steps=steps,
            pipeline=file.pipeline or Path(path).stem,
            unit=file.unit,
            present=present,
        )
    except PolicyError as error:
        raise PolicyError(f"{name}: {str(error).removeprefix('plan: ')}") from None
    return rates


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise PolicyError(f"cannot read {path}: {reason}") from None
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyError(f"{path.name}: line {error.lineno}: {error.msg}") from None
    try:
        import yaml
    except ImportError:
        raise PolicyError(
            f"{path.name}: YAML needs PyYAML; pip install 'coord-plugins[cli]', or write JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        said = getattr(error, "problem", None) or "this is no YAML"
        raise PolicyError(f"{path.name}: {where}{said}") from None


def _first(error: ValidationError, data: dict[str, Any]) -> str:
    """The first thing that is wrong, with the step and the key where it is."""
    found = error.errors()[0]
    place = [p for p in found["loc"] if not (isinstance(p, str) and p in ("str", "list[str]"))]
    where = ".".join(str(p) for p in place)
    if len(place) > 1 and place[0] == "steps" and isinstance(place[1], int):
        step = data["steps"][place[1]]
        name = step.get("name") if isinstance(step, dict) else None
        label = f"step {name!r}" if isinstance(name, str) else f"step number {place[1] + 1}"
        where = ": ".join([label, ".".join(str(p) for p in place[2:])]).removesuffix(": ")
    if found["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    if found["type"] == "missing":
        return f"{where} is missing"
    said = found["msg"].removeprefix("Value error, ")
    if found["type"] != "value_error":
        said = said[:1].lower() + said[1:]
    return f"{where}: {said}"


def _step(step: _Step, file: str) -> MeasuredStep:
    where = f"{file}: step {step.name!r}"
    if step.repeat is not None and step.sticky is not None:
        raise PolicyError(f"{where}: give repeat or sticky, not both")
    if step.edge is not None and step.validator is None:
        raise PolicyError(f"{where}: it has an edge and no validator")
    errors = step.transient.mean + step.fatal.mean + step.invalid.mean
    if errors > 1.0 + 1e-12:
        raise PolicyError(f"{where}: transient + fatal + invalid = {errors:.6g} exceeds 1")
    validator = None
    if step.validator is not None:
        said = step.validator
        validator = MeasuredValidator(
            names=(said.name,) if said.name else (),
            sensitivity=said.sensitivity,
            specificity=said.specificity,
            upstream=said.upstream,
            cost=Amount(mean=said.cost) if said.cost else NOTHING,
        )
    return MeasuredStep(
        name=step.name,
        right=step.right,
        cost=Amount(mean=step.cost),
        fatal=step.fatal,
        transient=step.transient,
        invalid=step.invalid,
        tries=step.tries,
        repeat=step.repeat,
        sticky=step.sticky,
        validator=validator,
    )


def _edge(step: _Step, file: str) -> PlannedEdge:
    assert step.edge is not None
    assert step.validator is not None
    back = step.edge.back_to
    ladder = (back,) if isinstance(back, str) else tuple(back)
    limit = step.edge.max_attempts or (len(ladder) or 1) + 1
    if ladder and limit <= len(ladder):
        raise PolicyError(
            f"{file}: step {step.name!r}: {len(ladder)} targets need max_attempts of at least "
            f"{len(ladder) + 1}, not {limit}"
        )
    names = (step.validator.name,) if step.validator.name else ()
    return PlannedEdge(step=step.name, back_to=ladder, max_attempts=limit, validators=names)

"""Validators from elsewhere: citations that must exist, and evaluators of other libraries."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

from ._call import is_async_callable
from ._validators import Validator, name_of
from ._verdict import Handover, Verdict
from .errors import PolicyError


def grounded(
    cited: str | Callable[[Any], Iterable[Any]],
    sources: Any,
    *,
    at_least: int = 1,
    name: str = "grounded",
    **settings: Any,
) -> Validator:
    """Every cited id exists in the sources given.

    Args:
        cited: A regular expression whose matches in the output's text are the ids (its first
            group where it has one), or a callable `output -> ids`.
        sources: The ids that exist: a collection, a step's name (the ids are matched in its
            latest accepted output), or a callable `Handover -> ids`.
        at_least: Fewest citations an output needs.
        name: How verdicts name it.
        **settings: The fields of `Validator`.
    """
    if isinstance(sources, str) and not isinstance(cited, str):
        raise PolicyError("grounded: a step name as `sources` needs a regular expression `cited`")
    pattern = re.compile(cited) if isinstance(cited, str) else None

    def ids_of(value: Any) -> list[Any]:
        if pattern is not None:
            return pattern.findall(value if isinstance(value, str) else repr(value))
        return list(cast("Callable[[Any], Iterable[Any]]", cited)(value))

    def known(ctx: Handover) -> Collection[Any]:
        if isinstance(sources, str):
            return set(ids_of(ctx.outputs.get(sources, "")))
        found: Collection[Any] = sources(ctx) if callable(sources) else sources
        return found

    def cites_existing(output: Any, *, ctx: Handover) -> tuple[bool, str]:
        found = ids_of(output)
        exist = known(ctx)
        unknown = [str(i) for i in dict.fromkeys(found) if i not in exist]
        if unknown:
            return False, f"these cited ids do not exist in the sources: {', '.join(unknown)}"
        if len(found) < at_least:
            return False, f"cite at least {at_least} of the given sources; {len(found)} cited"
        return True, ""

    return Validator(fn=cites_existing, name=name, **settings)


def from_evaluator(
    fn: Callable[..., Any],
    threshold: float = 1.0,
    *,
    name: str | None = None,
    reference_outputs: Any = None,
    **settings: Any,
) -> Validator:
    """Use an evaluator of LangSmith, openevals or agentevals as a validator.

    It is called with those of `inputs=`, `outputs=` and `reference_outputs=` that it
    declares, and returns a bool, a number, or a result (or a list of results, all must
    pass) with `score` and `comment`.

    Args:
        fn: The evaluator, sync or async.
        threshold: A score passes when it is at least this; a boolean score stands for itself.
        name: How verdicts name it; default the function's name.
        reference_outputs: Passed on where the evaluator declares it.
        **settings: The fields of `Validator`; `kind` defaults to "llm".
    """
    settings.setdefault("kind", "llm")
    parameters = inspect.signature(fn).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def arguments(output: Any, ctx: Handover) -> dict[str, Any]:
        offered = {"inputs": ctx.inputs, "outputs": output}
        if reference_outputs is not None:
            offered["reference_outputs"] = reference_outputs
        return {k: v for k, v in offered.items() if takes_any or k in parameters}

    def sync(output: Any, *, ctx: Handover) -> Verdict:
        return _evaluated(fn(**arguments(output, ctx)), threshold)

    async def asynchronous(output: Any, *, ctx: Handover) -> Verdict:
        return _evaluated(await fn(**arguments(output, ctx)), threshold)

    chosen = asynchronous if is_async_callable(fn) else sync
    return Validator(fn=chosen, name=name or name_of(fn), **settings)


def _evaluated(said: Any, threshold: float) -> Verdict:
    """Read an evaluation result of any of the supported shapes; unscored is an error."""
    if isinstance(said, list):
        parts = [_evaluated(s, threshold) for s in said]
        failing = [p for p in parts if not p.passed]
        return min(failing or parts, key=lambda p: 1.0 if p.score is None else p.score)
    if isinstance(said, (bool, int, float)):
        said = {"score": said}
    score, comment = _read(said, "score"), _read(said, "comment")
    if not isinstance(score, (bool, int, float)):
        raise TypeError(f"the evaluator returned no score: {said!r}")
    passed = score if isinstance(score, bool) else score >= threshold
    return Verdict(passed=passed, score=float(score), explanation=comment)


def _read(said: Any, key: str) -> Any:
    return said.get(key) if isinstance(said, Mapping) else getattr(said, key, None)

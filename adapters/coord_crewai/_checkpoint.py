"""What CrewAI's own checkpoints take along of a run, and what a restored crew needs.

A checkpoint is the crew as JSON. The run's counters go into the metadata of the crew's
fingerprint, which is part of it. There is room for 10 kB: beyond it the counts of past steps are
left out, and then the edges' rejections too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from crewai import Crew
from crewai.hooks.dispatch import HookAborted, InterceptionPoint, get_hooks, register

from coord_plugins import PolicyError
from coord_plugins.host import Run, is_attached, merge_durable

KEY = "coord"
ROOM = 9_000
"""Characters of the metadata that may be ours; CrewAI refuses to restore more than 10,000."""
_keeping = threading.Lock()  # parallel tasks commit from threads of their own


class UnattachedError(PolicyError, HookAborted):
    """A crew was restored from a checkpoint without its policy (a hook may raise no other kind)."""

    def __init__(self, said: str) -> None:
        HookAborted.__init__(self, said, "coord-plugins")


def is_on(host: Any) -> bool:
    """Whether this crew writes checkpoints."""
    return isinstance(host, Crew) and bool(host.checkpoint)


def _metadata(crew: Any) -> dict[str, Any]:
    found: dict[str, Any] = crew.security_config.fingerprint.metadata
    return found


def keep(crew: Any, run: Run, change: Mapping[str, Any]) -> None:
    """Merge what a step committed into what the next checkpoint takes along."""
    identity = {"run": {**run.identity(), "elapsed": run.elapsed}}
    metadata = _metadata(crew)
    with _keeping:
        metadata[KEY] = _merged(metadata.get(KEY, "{}"), {**identity, **_plain(change)})


def _merged(before: str, change: Mapping[str, Any]) -> str:
    merged = merge_durable(json.loads(before), change)
    for left_out in ("", "t:", "e:"):
        if left_out:
            merged = {k: v for k, v in merged.items() if not k.startswith(left_out)}
        text = json.dumps(merged)
        if len(text) <= ROOM:
            break
    return text


def _plain(change: Mapping[str, Any]) -> dict[str, Any]:
    """Accepted outputs stay out: the tasks of the checkpoint have them."""
    return {k: v for k, v in change.items() if not k.startswith("o:")}


def kept(host: Any) -> dict[str, Any] | None:
    """What the checkpoint that this crew was restored from remembers of its run."""
    if not isinstance(host, Crew) or host.checkpoint_kickoff_event_id is None:
        return None
    text = _metadata(host).get(KEY)
    return None if text is None else json.loads(text)


def forget(host: Any) -> None:
    """The run is over: a later kickoff of the same object is another run."""
    if isinstance(host, Crew):
        _metadata(host).pop(KEY, None)


def refuse_unattached(context: Any) -> None:
    """A hook at each kickoff: a crew that was restored without its policy must not run.

    Raises:
        UnattachedError: The checkpoint was written by an attached crew, and this one is not.
    """
    crew = context.crew
    if crew is not None and KEY in _metadata(crew) and not is_attached(crew):
        raise UnattachedError(
            "this crew was restored from a checkpoint of a crew with a policy, and has none: "
            "call attach(crew, ...) with the same arguments before kickoff, or restore it with "
            "kickoff(from_checkpoint=...) of the attached crew"
        )


def watch() -> None:
    """Look at every kickoff of this process, once."""
    if refuse_unattached not in get_hooks(InterceptionPoint.EXECUTION_START):
        register(InterceptionPoint.EXECUTION_START, refuse_unattached)

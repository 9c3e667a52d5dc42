"""What AutoGen can do, and how it speaks."""

from __future__ import annotations

from typing import Any

from autogen_core.models import ChatCompletionClient

from coord_plugins.host import Host


class Passing(Exception):  # noqa: N818 - a signal of this adapter, not an error
    """A turn ended in a message that directs the chat and is no answer: it passes unjudged."""

    def __init__(self, response: Any) -> None:
        super().__init__("a handoff, stop message or tool summary")
        self.response = response


HOST = Host(
    name="autogen",
    control_flow=(Passing,),
    buffers_stream=True,
    earlier_step=True,
    human=True,
    models=(ChatCompletionClient,),
)

"""The clients of one listener: LangSmith's, which sends runs, and ours, which sends feedback."""

from __future__ import annotations

import logging
import os

from langsmith import Client, get_tracing_context
from langsmith.run_trees import get_cached_client
from langsmith.utils import get_env_var

from coord_plugins import CoordError

from ._client import bounded, check_client

log = logging.getLogger("coord_plugins.langsmith")


class Clients:
    """A listener's clients, and whether outcomes can go through them.

    Attributes:
        given: The client that the user gave; None: LangSmith's own one.
    """

    def __init__(self, given: Client | None) -> None:
        """Prepare it; a default client is made when the first run is traced, and not before a fork.

        Args:
            given: The user's client.

        Raises:
            PolicyError: It sends OpenTelemetry spans only.
            UnsupportedHostError: It has changed a part that is relied on.
        """
        self.given = given
        self._seen: tuple[Client, int] | None = None
        self._own: tuple[int, Client, Client] | None = None
        self._complained = self._forked = False
        if given is not None:
            check_client(given)

    @property
    def tracing(self) -> Client:
        """LangSmith's client.

        Raises:
            PolicyError: It sends OpenTelemetry spans only.
            UnsupportedHostError: It has changed a part that is relied on.
        """
        found = self.given if self.given is not None else get_cached_client()
        if self._seen is None or self._seen[0] is not found:
            check_client(found)
            self._seen = (found, os.getpid())
        return found

    def for_feedback(self) -> Client:
        """The client that sends feedback: ours, one per process."""
        tracing, own = self.tracing, self._own
        if own is None or own[0] != os.getpid() or own[1] is not tracing:
            own = self._own = (os.getpid(), tracing, bounded(tracing))
        return own[2]

    def sending(self) -> Client | None:
        """The client that sends runs; None in a fork of the process that made it."""
        found, seen = self.tracing, self._seen
        if seen is not None and seen[1] == os.getpid():
            return found
        if not self._forked:
            self._forked = True
            log.warning(
                "LangSmith's client was made before this process was forked, and sends nothing "
                "from here; outcomes are sent, each with a root that says no more"
            )
        return None

    def is_usable(self) -> bool:
        """Whether outcomes can go through the client; when not, it is said once."""
        try:
            return self.tracing is not None
        except CoordError as error:
            self._complain(str(error))
            return False

    def is_here(self) -> bool:
        """Whether traces of this context go where outcomes do; when not, it is said once."""
        context = get_tracing_context()
        client = context["client"]
        if client is not None and client is not self.tracing:
            self._complain(
                "the tracing context names a client of its own; give it to LangSmith(client=...)"
            )
            return False
        if context.get("address") is not None or get_env_var("AGENT_ID"):
            self._complain("traces go to an agent's address, which has no outcomes; use a project")
            return False
        return True

    def is_sampled(self, trace_id: str) -> bool:
        """Whether the client sends this trace.

        Args:
            trace_id: The root's id; the client decides by it alone.
        """
        return self.tracing._should_sample(trace_id)

    def _complain(self, why: str) -> None:
        if not self._complained:
            log.error("no run is traced: %s", why)
        self._complained = True

"""Model clients: every call counted, and a failed one repeated alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from json import JSONDecodeError
from typing import Any, NamedTuple

from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
)

from coord_plugins import END, BudgetError, Retry, Run, classify
from coord_plugins.host import (
    Escalate,
    Fail,
    Step,
    arun_part,
    arun_step,
    swapped,
)

from ._session import Session, current
from .errors import UnreadableReplyError

_inside: ContextVar[bool] = ContextVar("coord_autogen_call", default=False)
"""Whether a call is under way that is counted: a client may work by another client."""


class Call(NamedTuple):
    """One model call as an agent or a manager makes it."""

    client: Any
    """The client that is asked."""
    ask: Callable[..., Any]
    """Its own `create` or `create_stream`."""
    method: str
    """The name of that method, for a fallback."""
    messages: Sequence[LLMMessage]
    options: dict[str, Any]
    retry: Retry | None = None
    """The client's own; None: the step's."""

    async def make(self, session: Session) -> Any:
        """Make the call under the step that is running, else under one of the manager's.

        Returns:
            The result; of a stream its first chunk, the stream itself and whose it is.
        """
        if self.options.get("cancellation_token") is None:
            self.options["cancellation_token"] = session.token
        step = _running(session.run)
        if step is None:
            return await self._of_a_manager(session)
        if step.judging:  # a validator's own call has the validator's retry
            return await self.once(step)
        return await arun_part(step, self.once, ChatCompletionClient, self.retry)

    async def _of_a_manager(self, session: Session) -> Any:
        """A call that no agent's turn makes: a step of its own, once it has failed."""
        run, name = session.run, _manager_name(session, self.client)
        retry = self.retry or run.policy.retry_of(name)
        if retry is None or run.mode != "enforce":
            return await self._ask(run, self.client, retried=False)
        failed: list[Exception] = []
        try:
            return await self._ask(run, self.client, retried=True)
        except BudgetError:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the core below
            failed.append(error)

        async def execute(step: Step) -> Any:
            if failed:
                raise failed.pop()
            return await self.once(step)

        step = run.enter(name, retry=retry)
        decision = await arun_step(step, execute)
        step.commit()
        if isinstance(decision, (Fail, Escalate)):
            raise decision.error
        return decision.value  # type: ignore[union-attr]  # an Accept: a manager has no edge

    async def once(self, step: Step) -> Any:
        """Ask once under a step: the client, or the fallback that stands in."""
        other = isinstance(step.substitute, ChatCompletionClient)
        client = step.substitute if other else self.client
        said = step.retry is not None or step.name in step.run.policy.retry
        return await self._ask(step.run, client, retried=said and step.run.mode == "enforce")

    async def _ask(self, run: Run, client: Any, *, retried: bool) -> Any:
        """Ask a client, and count what it says."""
        spent, budget = run.check_budget(under_way=True), run.policy.budget
        by_manager = _running(run) is None
        # what takes over when the budget is spent does so in an agent's turn
        if spent is not None and not (by_manager and budget is not None and budget.otherwise):
            raise spent
        ask = self.ask if client is self.client else getattr(client, self.method)
        with ExitStack() as stack:
            _within(stack, _inside, True)
            if retried:
                _own_retries_off(stack, client)
            said = ask(self.messages, **self.options)
            try:
                first = await (said if self.method == "create" else anext(said))
            except Exception as error:
                if isinstance(error, JSONDecodeError) and _is_transport(client, self.options):
                    raise UnreadableReplyError(f"the reply is no JSON: {error}") from error
                if classify(error) == "invalid":
                    count(run, client, None)  # the model answered, and nobody knows at what cost
                raise
        if self.method == "create":
            count(run, client, first)
            return first
        if isinstance(first, CreateResult):
            count(run, client, first)
        return first, said, client


def own_error(error: BaseException) -> BaseException:
    """What a client itself raised."""
    unread = isinstance(error, UnreadableReplyError) and error.__cause__ is not None
    return error.__cause__ or error if unread else error


def _running(run: Run) -> Step | None:
    from coord_plugins import current_step

    try:
        step = current_step()
    except LookupError:
        return None
    if step.run is not run or (step.name == END and not step.judging):
        return None  # a call of the whole team's is no part of the final answer's own step
    return step


def _manager_name(session: Session, client: Any) -> str:
    """The name under which a manager's own calls stand in records."""
    for team in session.tree.teams:
        if getattr(team, "_model_client", None) is client:
            return str(team._group_chat_manager_name)
    return "(outside turns)"


def metering() -> Session | None:
    """The run that counts the calls made here, if one does."""
    return None if _inside.get() else current.get()


def count(run: Run, client: Any, result: CreateResult | None) -> None:
    """Count a call's tokens. What a cache answered costs nothing; zeros are unknown, not 0."""
    if result is not None and result.cached:
        return
    usage = result.usage if result is not None else None
    known = usage is not None and (usage.prompt_tokens or usage.completion_tokens)
    run.add_usage(
        model=model_of(client),
        input_tokens=usage.prompt_tokens if known and usage is not None else None,
        output_tokens=usage.completion_tokens if known and usage is not None else None,
    )


def model_of(client: Any) -> str | None:
    """The model's name, which AutoGen's replies do not carry: from the client's configuration."""
    if "_coord_model" not in client.__dict__:
        said = getattr(client, "_create_args", None) or getattr(client, "_raw_config", None) or {}
        name = said.get("model") if isinstance(said, Mapping) else None
        name = name or getattr(client, "model", None)
        client.__dict__["_coord_model"] = name if isinstance(name, str) else None
    found: str | None = client.__dict__["_coord_model"]
    return found


def hidden_retries(client: Any) -> int:
    """How often a client's SDK repeats a failed call by itself, which no event of AutoGen tells."""
    said = getattr(_sdk(client), "max_retries", 0)
    return said if isinstance(said, int) else 0


def _sdk(client: Any) -> Any:
    """The vendor's own client under AutoGen's, or under one that wraps it."""
    return getattr(getattr(client, "client", client), "_client", None)


def _is_transport(client: Any, options: Mapping[str, Any]) -> bool:
    """Whether an error of a JSON parser is the SDK's, about the body of a server's reply."""
    return _sdk(client) is not None and not isinstance(options.get("json_output"), type)


def _own_retries_off(stack: ExitStack, client: Any) -> None:
    """Under a `Retry` the SDK must not repeat by itself: failed calls would be hidden."""
    if hidden_retries(client):
        stack.enter_context(swapped(_sdk(client), "max_retries", 0))


def _within(stack: ExitStack, variable: ContextVar[Any], value: Any) -> None:
    token = variable.set(value)
    stack.callback(variable.reset, token)


async def streamed(call: Call, session: Session) -> AsyncGenerator[str | CreateResult, None]:
    """A streamed call: it is repeated before its first chunk alone."""
    first, stream, client = await call.make(session)
    yield first
    whole = isinstance(first, CreateResult)
    try:
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, CreateResult):
                    whole = True
                    count(session.run, client, chunk)
                yield chunk
    finally:
        if not whole:  # it was paid for, and nobody knows how much
            count(session.run, client, None)


class AttachedClient(ChatCompletionClient):
    """Mixed into the class of the model clients of an attached team."""

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        """As the client's own; counted, and repeated as the step's retry says."""
        bare: Any = super()
        session = metering()
        if session is None:
            return await bare.create(messages, **options)  # type: ignore[no-any-return]  # the host's
        call = Call(self, bare.create, "create", messages, options)
        return await call.make(session)  # type: ignore[no-any-return]  # the host's

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """As the client's own; counted, and repeated before its first chunk."""
        bare: Any = super()
        session = metering()
        if session is None:
            stream = bare.create_stream(messages, **options)
        else:
            call = Call(self, bare.create_stream, "create_stream", messages, options)
            stream = streamed(call, session)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

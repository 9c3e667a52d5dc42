"""What a model call costs: the user's own prices, else the genai-prices table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from .errors import PolicyError

log = logging.getLogger("coord_plugins.prices")


class Prices:
    """Prices of model calls in US dollars."""

    def __init__(self, own: Any = None) -> None:
        """Read a price table.

        Args:
            own: A mapping `model -> (usd per million input tokens, usd per million output
                tokens)`, a callable `(model, input_tokens, output_tokens) -> usd or None`, or
                None: the table of the optional package genai-prices, if it is installed.

        Raises:
            PolicyError: `own` is neither.
        """
        self._own: Callable[[str, int, int], float | None] | None = None
        self._table: dict[str, tuple[float, float]] = {}
        if isinstance(own, Mapping):
            for model, pair in own.items():
                try:
                    given_in, given_out = (float(x) for x in pair)
                except (TypeError, ValueError):
                    given_in = -1.0
                if given_in < 0 or given_out < 0:
                    raise PolicyError(
                        f"prices: {model!r}: {pair!r}; give (usd per million input tokens, "
                        "usd per million output tokens), none negative"
                    )
                self._table[model] = (given_in, given_out)
        elif callable(own):
            self._own = own
        elif own is not None:
            raise PolicyError(f"prices: {own!r} is no mapping and not callable")

    def cost(self, model: str | None, input_tokens: int, output_tokens: int) -> float | None:
        """US dollars of one call, or None when the model has no price."""
        if model is None:
            return None
        if self._own is not None:
            return self._own(model, input_tokens, output_tokens)
        pair = self._table.get(model)
        if pair is None:
            return _listed(model, input_tokens, output_tokens)
        return (pair[0] * input_tokens + pair[1] * output_tokens) / 1_000_000


def _listed(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """The public table's price of one call (its tiers depend on the call's size).

    A name may say its provider: "groq/llama-3.1-8b-instant".
    """
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    used = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    provider, _, name = model.rpartition("/")
    for said_by, ref in ((None, model), (provider or None, name)):
        try:
            return float(calc_price(used, model_ref=ref, provider_id=said_by).total_price)
        except LookupError:
            continue
    log.info("the price table has no model %r", model)
    return None

"""What `coord doctor` says of AutoGen's model clients."""

from __future__ import annotations

from importlib import metadata
from typing import Any


def hidden_retries() -> list[dict[str, Any]]:
    """SDKs under AutoGen's clients that repeat failed calls by themselves, unseen.

    Returns:
        The entry point `coord_plugins.doctor`: one mapping per SDK that is installed.
    """
    try:
        from openai import DEFAULT_MAX_RETRIES
    except ImportError:
        return []
    return [
        {
            "host": "autogen",
            "sdk": "openai",
            "version": metadata.version("openai"),
            "by_default": DEFAULT_MAX_RETRIES,
            "mend": "max_retries=0",
        }
    ]

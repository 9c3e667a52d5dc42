"""The command `coord`. What is heavy is imported by the command that needs it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without typer and rich, say how to install them."""
    try:
        import rich  # noqa: F401  # the commands render with it
        import typer  # noqa: F401
    except ImportError as error:
        print(
            f"coord: {error.name} is not installed; pip install 'coord-plugins[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    from ._app import run

    run()

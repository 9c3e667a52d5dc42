"""What a command of another package needs to look and behave like the commands of `coord`.

A package adds commands through an entry point of the group `coord_plugins.cli`: a function that
gets the `typer.Typer` application and adds to it. It is imported when somebody asks for a command
that `coord` itself does not have, or for the list of commands. An error that is a
`coord_plugins.CoordError` becomes one line on stderr and exit code 2.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cli._common import JsonOption, SinceOption, UntilOption, print_json, print_rich
    from ._reporting._tables import dollars, percent
    from ._reporting._tables import pairs_table as pairs
    from ._reporting._tables import plain_table as table
    from ._reporting._text import section
    from ._store_query import when

__all__ = [
    "JsonOption",
    "SinceOption",
    "UntilOption",
    "dollars",
    "pairs",
    "percent",
    "print_json",
    "print_rich",
    "section",
    "table",
    "when",
]

_COMMON, _TEXT = "._cli._common", "._reporting._text"
_LATER = {
    "JsonOption": (_COMMON, "JsonOption"),
    "SinceOption": (_COMMON, "SinceOption"),
    "UntilOption": (_COMMON, "UntilOption"),
    "dollars": (_TEXT, "dollars"),
    "pairs": (_TEXT, "pairs_table"),
    "percent": (_TEXT, "percent"),
    "print_json": (_COMMON, "print_json"),
    "print_rich": (_COMMON, "print_rich"),
    "section": (_TEXT, "section"),
    "table": (_TEXT, "plain_table"),
    "when": ("._store_query", "when"),
}


def __getattr__(name: str) -> Any:
    """Each name loads what it needs (typer, rich) when it is asked for, and nothing else."""
    if name in _LATER:
        from importlib import import_module

        module, attribute = _LATER[name]
        return getattr(import_module(module, __package__), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

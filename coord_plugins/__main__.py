"""`python -m coord_plugins` is the command `coord`."""

from ._cli import main

if __name__ == "__main__":
    main()

"""Command line as `python -m tfderain.cli`."""

from tfderain.cli import main

main()

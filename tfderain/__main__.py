"""Command line as `python -m tfderain`."""

from tfderain.cli import main

if __name__ == "__main__":
    main()

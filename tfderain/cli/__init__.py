"""Command line `tfderain`; `main` is its entry point."""

from tfderain.cli.main import app, main

__all__ = ["app", "main"]

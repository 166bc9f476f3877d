"""Fixtures of the commands: a folder to work in, and a run of a command line."""

import pytest
from commands import Darkener

from tfderain import cli, runtime
from tfderain.cli import console


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, without presets, and a fast restorer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDERAIN_PRESETS", str(tmp_path / "presets"))
    monkeypatch.delenv("TFDERAIN_DEBUG", raising=False)
    monkeypatch.setattr(runtime, "Restorer", Darkener)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command line; returns exit code, stdout and the lines of stderr."""

    def run(*arguments):
        code = console.run(cli.app, [str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run

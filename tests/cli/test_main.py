"""Command line as a whole: usage errors, exit codes, tracebacks."""

import sys
from unittest import mock

import pytest
from commands import picture

from tfderain import cli
from tfderain.cli import pictures


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["derain", "--out", "b.png"], "Missing argument 'IN...'"),
        (["derain", "a.png"], "--out says where derained pictures go"),
        (["derain", "missing.png", "--out", "out/"], "missing.png"),
        (["derain", "a.png", "--out", "out"], "ends with a slash"),
        (["derain", "a.png", "-o", "a.png"], "one of the inputs"),
        (["derain", "a.png", "--out", "out/", "--tile", "big"], "--tile"),
        (["derain", "a.png", "--out", "out/", "--format", "psd"], "psd"),
        (["derain", "a.png", "--out", "out/", "--unknown"], "--unknown"),
        (
            ["derain", "a.png", "--out", "out/", "--overwrite", "--skip-existing"],
            "either",
        ),
        (["synthesize", "a.png", "--out", "out", "--kind", "hail"], "hail"),
        (["train", "menet", "--data", "none"], "none"),
        (["train", "nothing", "--data", "."], "nothing"),
        (["train", "menet", "--data", ".", "--set", "speed=9"], "speed=9"),
        (["train", "menet", "--data", ".", "--ablation", "Lq"], "Lq"),
        (["evaluate", "menet", "--data", "."], "at least one pair"),
        (["evaluate", "menet", "--data", ".", "--protocol", "psnr"], "psnr"),
        (["export", "menet", "--out", "x", "--to", "coreml"], "coreml"),
        (["export", "menet", "--out", "x", "--to", "litert", "--size", "9"], "--size"),
        (["analyze", "scores", "a.json", "--out", "b.png"], "a.json"),
        (["analyze", "weights", ".", "--out", "a.png"], "--overwrite"),
        (["evaluate", "--data", "."], "Missing argument 'MODEL...'"),
        (["evaluate", "menet"], "--data"),
        (
            ["evaluate", "a", "--data", ".", "--data", "d", "--out", "x"],
            "1 models, 2 data sets",
        ),
        (["bench"], "MODEL"),
        (["bench", "menet", "--size", "0x9"], "--size"),
        (["analyze", "improvement", "a.json"], "a.json"),
        (["analyze", "improvement", "a.png"], "a.png"),
        (["analyze", "regions", "a", "--data", "."], "MODEL"),
        (["analyze", "regions", "a", "b", "--data", ".", "--masks", "x"], "x"),
        (["analyze", "features", "menet", "none.png", "--out", "b.png"], "none.png"),
        (["analyze", "features", "menet", "a.png", "--out", "a.png"], "--overwrite"),
        (["nothing"], "nothing"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(folder, run, arguments, part):
    picture(folder / "a.png")
    (folder / "d").mkdir()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    (line,) = err
    assert line.startswith("error: ") and part in line


# The entry point


def test_main_exits_with_the_code(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfderain", "--version"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("tfderain 0.")
    with pytest.raises(SystemExit) as end:
        cli.main(["nothing"])
    assert end.value.code == 2


@pytest.mark.parametrize(
    "error, code, line",
    [
        (KeyboardInterrupt(), 130, "stopped; finished files are complete"),
        (OSError("disk full"), 1, "error: disk full"),
        (ImportError("Plots need\nMatplotlib"), 1, "error: Plots need Matplotlib"),
        (
            TypeError("odd"),
            1,
            "error: TypeError: odd (tfderain --debug COMMAND shows where)",
        ),
    ],
)
def test_every_other_error_is_one_line_too(folder, run, error, code, line):
    with mock.patch.object(pictures, "finish", side_effect=error):
        picture(folder / "a.png")
        assert run("derain", "a.png", "--out", "b.png")[0::2] == (
            code,
            [line],
        )


def test_debug_shows_the_traceback(folder, run, monkeypatch):
    monkeypatch.setenv("TFDERAIN_DEBUG", "")  # so that it is restored afterwards
    code, _, err = run("--debug", "derain", "missing.png", "--out", "b.png")
    assert code == 2 and err[0].startswith("Traceback")
    assert err[-1].startswith("error: ")

"""Options: choices equal their sources, and texts name only options that exist."""

import json
import pathlib
import re
from typing import get_args

import pytest
import typer

from tfderain import cli, convert, export, metrics, runtime
from tfderain.analysis import features
from tfderain.batch import plan
from tfderain.cli import analyze, evaluate, options
from tfderain.cli import convert as convert_command
from tfderain.data import pairs, rain
from tfderain.evaluation import regions, scores
from tfderain.training import recipes

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "choices, source",
    [
        (get_args(options.Runtime), runtime.RUNTIMES),
        (get_args(options.Format), plan.FORMATS),
        (get_args(options.Kind), rain.WEATHER),
        (get_args(options.Layout), pairs.LAYOUTS),
        (get_args(options.Protocol), metrics.PROTOCOLS),
        ([target.value for target in options.Target], export.TARGETS),
        (get_args(convert_command.Network), convert.NETWORKS),
        (get_args(evaluate.Patches), scores.PATCHES),
        (get_args(analyze.Variant), regions.VARIANTS),
        (get_args(analyze.Scaling), features.SCALINGS),
    ],
)
def test_choices_are_those_of_their_source(choices, source):
    assert list(choices) == list(source)


def commands(group=None, path=()):
    """Every command by its words, e.g. `("analyze", "scores")`."""
    group = group or typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def names_of(command):
    return {name for option in command.params for name in option.opts}


def test_outputs_models_and_folders_are_said_alike():
    for words, command in COMMANDS.items():
        by_name = {name: one for one in command.params for name in one.opts}
        if "--json" in by_name:
            assert "--overwrite" in by_name and by_name["--json"].metavar == "FILE"
        if "--out" in by_name:
            assert "-o" in by_name, words
        assert not {"--models", "--out-dir", "--save-images", "--run"} & set(by_name)
        (models,) = [p for p in command.params if p.name == "models"] or [None]
        if models:
            assert (models.nargs, models.metavar) == (-1, "MODEL..."), words


def test_the_help_of_train_names_every_recipe():
    (recipe,) = [p for p in COMMANDS["train",].params if p.name == "recipe"]
    assert all(re.search(rf"\b{name}\b", recipe.help) for name in recipes.RECIPES)


def texts():
    """The source, the documents, the scripts and the cards."""
    yield from (ROOT / "tfderain").rglob("*.py")
    yield from (ROOT / "scripts").glob("*.py")
    yield from (ROOT / "docs").rglob("*.md")
    yield from (ROOT / "savedmodels").glob("*/card.json")
    yield from (ROOT / name for name in ("README.md", "Makefile", "web/README.md"))


def options_used(text):
    """Pairs of a command and an option that a text names after it."""
    for line in re.findall(r"tfderain ([a-z]+ [^`#\"\n]*)", text.replace("\\\n", " ")):
        words = line.split()
        command = COMMANDS.get(tuple(words[:1])) or COMMANDS.get(tuple(words[:2]))
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", line) if command else ():
            yield command, option


def test_texts_name_options_that_exist():
    found = [
        (path.relative_to(ROOT).as_posix(), command, option)
        for path in texts()
        for command, option in options_used(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 100
    wrong = [
        (path, command.name, option)
        for path, command, option in found
        if option not in names_of(command) | {"--help"}
    ]
    assert not wrong


def test_commands_of_cards_parse():
    cards = list((ROOT / "savedmodels").glob("*/card.json"))
    assert cards
    for path in cards:
        words = json.loads(path.read_text())["command"].split()
        assert words[:2] == ["tfderain", "train"]
        assert words[2] in recipes.RECIPES

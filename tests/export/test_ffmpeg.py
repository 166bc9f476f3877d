"""FFmpeg's graphs, run in a session and by a C program that does as its filter does."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from export_model import TOLERANCE, make_model

from tfderain import export


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def graph(model, tmp_path_factory):
    return export.to_ffmpeg(model, tmp_path_factory.mktemp("ffmpeg") / "derain.pb")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    library = Path(tf.sysconfig.get_lib())
    if compiler is None or not list(library.glob("libtensorflow_cc.so.2")):
        pytest.skip(f"no C compiler or library on {sysconfig.get_platform()}")
    program = tmp_path_factory.mktemp("c") / "ffmpeg_filter"
    command = [compiler, Path(__file__).with_name("ffmpeg_filter.c"), "-o", program]
    command += [f"-I{tf.sysconfig.get_include()}", f"-L{library}"]
    command += [f"-Wl,-rpath,{library}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    subprocess.run(command, check=True)
    return program


def filtered(program, path, rainy, names=export.FFMPEG_NAMES):
    size = map(str, rainy.shape[1:3])
    run = subprocess.run(
        [program, path, *names, *size], input=rainy.tobytes(), capture_output=True
    )
    assert run.returncode == 0, run.stderr
    return np.frombuffer(run.stdout, np.float32).reshape(rainy.shape)


def test_the_graph_gives_the_pixels_of_keras(model, graph):
    rainy = export.random_image((21, 34))
    derained = export.run_ffmpeg(graph.path, rainy)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    assert graph.format == "ffmpeg" and graph.largest_difference < TOLERANCE


def test_the_graph_has_operations_alone(graph):
    definition = tf.compat.v1.GraphDef.FromString(graph.path.read_bytes())
    assert not definition.library.function
    kinds = [node.op for node in definition.node]
    assert kinds.count("Placeholder") == 1
    assert not {"ReadVariableOp", "VarHandleOp", "PartitionedCall"} & set(kinds)


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_the_c_library_runs_it_as_the_filter_does(model, graph, program, size):
    rainy = export.random_image(size)
    derained = filtered(program, graph.path, rainy)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE


def test_names_are_those_asked_for(model, program, tmp_path):
    names = ("rainy", "derained")
    made = export.to_ffmpeg(model, tmp_path / "own.pb", ((8, 8),), names=names)
    rainy = export.random_image((8, 12))
    derained = filtered(program, made.path, rainy, names)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    run = subprocess.run([program, made.path, "x", "y", "8", "12"], input=b"")
    assert run.returncode == 3, "there is no x"


@pytest.mark.parametrize("names", [("x", "x"), ("x:0", "y"), ("", "y"), ("a b", "y")])
def test_other_names_are_refused(model, tmp_path, names):
    with pytest.raises(ValueError, match="need different names"):
        export.to_ffmpeg(model, tmp_path / "own.pb", names=names)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unless_asked(model, graph):
    with pytest.raises(ValueError, match="Nothing is overwritten"):
        export.to_ffmpeg(model, graph.path)

"""scripts/gpu: the network, optimizer and training loop in PyTorch."""

import contextlib
import json

import keras
import numpy as np
import pytest
from gpu_kit import scene, script

from tfderain.data import mixer
from tfderain.models.resunet import ResUNet
from tfderain.optimizers import ConvMuon

torch = pytest.importorskip("torch")
check_torch, measure, train = (script(x) for x in ("check_torch", "measure", "train"))
muon_torch, resunet_torch = script("muon_torch"), script("resunet_torch")
step_torch, to_keras, unpack = (script(x) for x in ("step_torch", "to_keras", "unpack"))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def small():
    """A network whose steps take milliseconds."""
    return resunet_torch.ResUNet((8, 16), (1, 1), (1,))


def test_outputs_are_those_of_the_keras_model(tmp_path):
    model = ResUNet()
    model.build((None, None, None, 3))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign_add(0.02 * rng.standard_normal(weight.shape))
    model.save(tmp_path / "resunet.keras")
    to_keras.main(
        [str(tmp_path / "resunet.keras"), str(tmp_path / "a.npz"), "--outputs"]
    )
    assert check_torch.difference(tmp_path / "a.npz") < check_torch.LARGEST


def test_weights_come_back(tmp_path):
    network = resunet_torch.ResUNet().to(memory_format=torch.channels_last)
    resunet_torch.save_weights(network.state_dict(), tmp_path / "weights.npz")
    model = to_keras.to_model(tmp_path / "weights.npz")
    np.savez(tmp_path / "again.npz", **to_keras.weights(model))
    again = resunet_torch.ResUNet()
    resunet_torch.load_weights(again, tmp_path / "again.npz")
    for old, new in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(old, new)
    np.savez(tmp_path / "none.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match=r"nothing else\. Received: path="):
        resunet_torch.load_weights(again, tmp_path / "none.npz")


def test_start_is_the_keras_models():
    model = ResUNet()
    model.build((None, None, None, 3))
    wanted = to_keras.weights(model)
    for name, parameter in resunet_torch.ResUNet().named_parameters():
        found, expected = (
            float(parameter.detach().std()),
            wanted[resunet_torch.path_of(name)].std(),
        )
        # 3,072 values or more: their deviation varies by 1.3 % either way
        assert found == pytest.approx(expected, rel=0.06, abs=1e-9), name


def test_optimizer_is_conv_muon():
    """Three steps on the same gradients move the weights alike."""
    rng = np.random.default_rng(0)
    shapes = {
        "inner": (3, 3, 8, 12),
        "wide": (1, 1, 6, 40),
        "leave": (3, 3, 8, 4),
        "bias": (12,),
    }
    start = {
        name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()
    }
    layers = []
    for name, array in start.items():
        with keras.name_scope(name):
            layers.append(keras.Variable(array, name="kernel"))
    keras_optimizer = ConvMuon(1e-2, exclude_layers=["leave"])
    ours = {name: torch.nn.Parameter(to_torch(array)) for name, array in start.items()}
    optimizer = muon_torch.MuonAdam(
        [ours["inner"], ours["wide"]], [ours["leave"], ours["bias"]]
    )
    for _ in range(3):
        gradients = [rng.standard_normal(s).astype("f4") for s in shapes.values()]
        keras_optimizer.apply(gradients, layers)
        for parameter, gradient in zip(ours.values(), gradients, strict=True):
            parameter.grad = to_torch(gradient)
        optimizer.step(torch.tensor(1e-2))
    for variable, parameter in zip(layers, ours.values(), strict=True):
        wanted = to_torch(keras.ops.convert_to_numpy(variable))
        # of changes of 0.03, in float32 sums
        torch.testing.assert_close(parameter.detach(), wanted, atol=1e-5, rtol=0)


def to_torch(array):
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if tensor.dim() == 4:
        tensor = tensor.permute(3, 2, 0, 1).contiguous(
            memory_format=torch.channels_last
        )
    return tensor


def test_loss_is_the_recipes():
    from tfderain import losses

    rng = np.random.default_rng(0)
    derained, clean = (rng.random((3, 8, 8, 3), np.float32) for _ in range(2))
    wanted = losses.Reconstruction("l1", 1.0)(clean, derained) / 2
    wanted = wanted + 0.02 * losses.LogError()(clean, derained)
    tensors = [
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in (derained, clean)
    ]
    found = step_torch.loss_of(lambda x: x, *tensors, torch.float32)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_rate_rises_stays_and_falls():
    rates = [train.rate_at(0.1, step, 1.0) for step in (0, 99, 199, 5000)]
    np.testing.assert_allclose(rates, (0.005, 0.5, 1, 1))
    rates = [train.rate_at(p, 5000, 1.0) for p in (0.3, 0.7, 0.85, 1.0)]
    np.testing.assert_allclose(rates, (1, 1, 0.5, 0), atol=1e-9)


def test_a_resumed_clock_goes_on_where_it_stood(monkeypatch):
    now = Ticking(0.0)
    now.now = 100.0
    monkeypatch.setattr(train, "time", now)
    clock = train.Clock(minutes=5, before=240.0, start=100.0 - 20)
    assert clock.deadline == 80 + 300 - train.END
    left = 280 - train.END
    assert clock.progress == pytest.approx(240 / (240 + left))
    now.now += left
    assert clock.progress == 1.0 and clock.over


@pytest.fixture(scope="module")
def materials():
    pictures = {f"{i}": scene(200, 240, i) for i in range(8)}
    pools = mixer.render_pools(0, None, count=8, size=96)
    training = {"own": [["6", "7"]], "clean": list(pictures)[:6]}
    flat = unpack.flatten(pictures, [], training)
    rng = np.random.default_rng(0)
    crops = [unpack.random_crop(pictures["7"], 64, rng) for _ in range(2)]
    pairs = [mixer.KindMixer(pools).make("heavy", crop, rng) for crop in crops]
    held = {"heavy": tuple(map(np.stack, zip(*pairs, strict=True)))}
    return unpack.Materials(*flat, pools, held)


class Ticking:
    """A clock that goes on by the same time whenever somebody looks at it."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def monotonic(self):
        self.now += self.seconds
        return self.now


@pytest.fixture
def arguments(tmp_path, monkeypatch, materials):
    """Arguments of a training on two crops at a time, without unpacking."""
    clock = Ticking(0.05)  # two or three looks a step
    monkeypatch.setattr(train, "unpack", lambda *a, **k: materials)
    monkeypatch.setattr(train, "time", clock)
    monkeypatch.setattr(train, "ResUNet", small)

    def make(minutes, *more):
        # a new process starts now
        monkeypatch.setattr(train.Clock.__init__, "__defaults__", (0.0, clock.now))
        options = "--device cpu --batches 2 2 --crops 32 48 --threads 1 --rising 9"
        times = [f"--minutes={minutes}", "--tell=2", "--save=4", "--rate=2e-3"]
        places = [f"--out={tmp_path / 'out'}", f"--run={tmp_path / 'run'}"]
        return ["no.zip", *times, *places, *options.split(), *more]

    return make


def scores(tmp_path):
    lines = (tmp_path / "out" / "scores.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_training_learns_saves_and_resumes(arguments, tmp_path, capsys):
    train.main(arguments(0.2))
    said = capsys.readouterr().out
    assert "crop=32" in said and "crop=48" in said  # all stages
    first = scores(tmp_path)
    assert first[-1]["step"] > 30
    state = torch.load(tmp_path / "run" / "state.pt")
    assert state["steps"] == first[-1]["step"] and state["seconds"] > 1
    train.main(arguments(0.2))
    assert (
        f"step {state['steps']}, {state['seconds']:.0f} s before"
        in capsys.readouterr().out
    )
    second = scores(tmp_path)
    assert second[-1]["step"] > state["steps"]
    assert second[-1]["loss"] < first[0]["loss"]
    again = small()
    resunet_torch.load_weights(again, tmp_path / "out" / "weights.npz")
    averaged = torch.load(tmp_path / "run" / "state.pt")["averaged"]
    for name, value in again.state_dict().items():
        assert torch.equal(value, averaged[name])


def fresh(arguments, materials, *more):
    args = train.parse(arguments(0.15, *more))
    for path in (args.out, args.run):
        path.mkdir(exist_ok=True)
    trainer = step_torch.Trainer(small())
    maker = train.RainMaker(materials, "cpu", 0)
    return train.Training(args, trainer, maker, {}, train.Clock(0.15))


def test_for_want_of_memory_the_batch_is_halved(arguments, materials, capsys):
    training = fresh(arguments, materials, "--batches", "8", "8")
    training._enter_stage()
    training._give_way(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    training._enter_stage()
    assert [stage.batch for stage in training.stages] == [4, 8]
    assert training.stage.batch == 4
    assert "failed: OutOfMemoryError" in capsys.readouterr().out


def test_a_mode_that_fails_makes_way_for_a_plainer_one(
    arguments, materials, capsys, monkeypatch
):
    class Failing(step_torch.Step):
        def __init__(self, trainer, mode):
            if mode.startswith("compile"):
                raise RuntimeError("ptxas is missing\nand so on")
            super().__init__(trainer, mode)

        def __call__(self, rainy, clean):
            if self.mode == "graph":
                raise RuntimeError("cannot record")
            super().__call__(rainy, clean)

    monkeypatch.setattr(train, "Step", Failing)
    training = fresh(arguments, materials, "--mode", "compile+graph")
    training.run()
    said = capsys.readouterr().out
    assert said.count("failed: RuntimeError: ptxas is missing\n") == 2
    assert said.count("failed: RuntimeError: cannot record\n") == 1
    assert training.step.mode == "eager" and training.trainer.steps > 10
    with pytest.raises(RuntimeError, match="nothing left"):
        training._give_way(RuntimeError("nothing left"))


def test_weights_that_are_no_numbers_are_not_saved(arguments, materials, capsys):
    training = fresh(arguments, materials)
    training._save()
    good = [p.detach().clone() for p in training.trainer.parameters]
    with torch.no_grad():
        training.trainer.parameters[3].fill_(float("nan"))
    training._save()
    assert training.rate == pytest.approx(1e-3)
    for old, new in zip(good, training.trainer.parameters, strict=True):
        assert torch.equal(old, new)
    assert "not finite" in capsys.readouterr().out


def test_settings_come_from_the_measurements(tmp_path):
    (tmp_path / "measured.json").write_text('{"batch": 32, "mode": "graph"}')
    places = ["x.zip", "--minutes=9", "--out=a", "--run=b"]
    args = train.parse([*places, f"--settings={tmp_path / 'measured.json'}"])
    assert args.mode == "graph" and args.batches == [32, 16]  # 32 * (128 / 192)^2 = 14
    args = train.parse(places)
    assert args.mode == "compile+graph" and args.batches == [64, 28]
    with pytest.raises(SystemExit, match=r"Received: begins=\[0.0, 0.75\]"):
        train.parse([*places, "--batches", "8"])


def test_measurements_on_a_processor(tmp_path, materials, monkeypatch):
    monkeypatch.setattr(measure, "unpack", lambda *a, **k: materials)
    monkeypatch.setattr(measure, "ResUNet", small)
    monkeypatch.setattr(
        measure.Report.__init__, "__defaults__", (measure.time.monotonic(),)
    )
    path = tmp_path / "measured.json"
    options = "--device cpu --batches 1 2 --crops 32 --sizes --each 0.1 --pack x.zip"
    measure.main([str(path), *options.split()])
    found = json.loads(path.read_text())
    assert found["batch"] in (1, 2) and found["mode"] == "eager"
    assert found["images_per_second"] > 0
    assert {"torch", "device", "train_eager_1x32", "train_eager_2x32"} < set(found)
    assert found["train_eager_tf32_{batch}x32".format(**found)] > 0


def test_measuring_stops_when_time_is_up_and_notes_failures(tmp_path):
    report = measure.Report(
        tmp_path / "m.json", seconds=60, start=measure.time.monotonic()
    )

    def broken():
        raise RuntimeError("no such kernel\nmore")

    assert report.measure("broken", broken) is None
    assert json.loads((tmp_path / "m.json").read_text()) == {
        "broken": "RuntimeError: no such kernel"
    }
    report.end = 0
    assert report.measure("late", lambda: 3) is None
    assert "late" not in report.values


def test_recorded_steps_are_replayed_on_new_batches(monkeypatch):
    """The order of calls. What is recorded can only be seen on a device."""

    class Stream:
        def wait_stream(self, other):
            calls.append("wait")

    class Graph:
        def replay(self):
            calls.append("replay")

    @contextlib.contextmanager
    def recording(graph):
        calls.append("record")
        yield

    calls, updates = [], []
    for name, value in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": Graph,
        "graph": recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    trainer = step_torch.Trainer(small())
    update = trainer.update
    monkeypatch.setattr(
        trainer, "update", lambda *batch: (updates.append(batch[0]), update(*batch))
    )
    step = step_torch.Step(trainer, "graph")
    batches = [step_torch.random_batch(2, 16, "cpu", seed) for seed in range(6)]
    for batch in batches:
        step(*batch)
    assert [call for call in calls if call != "wait"] == ["record", *["replay"] * 3]
    assert trainer.steps == 6 and len(updates) == 4
    for used, (rainy, _) in zip(updates[:3], batches, strict=False):
        assert used is rainy
    assert updates[3] is step.rainy  # what the graph reads
    assert torch.equal(step.rainy, batches[-1][0])
    assert torch.equal(step.clean, batches[-1][1])

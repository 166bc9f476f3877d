"""Official weights: golden weights in the official layouts give the golden images."""

import json

import keras
import numpy as np
import official
import pth_files
import pytest
import tensorflow as tf
from official import nhwc

from tfderain import convert, models

BOTH = pytest.mark.parametrize("write", [pth_files.write_bare, pth_files.write_zip])


def prenet_weights():
    return official.tensors(official.load("prenet"))


@BOTH
def test_prenet(write, tmp_path):
    golden = official.load("prenet")
    path = write(tmp_path / "net_latest.pth", official.tensors(golden))
    out = convert.convert("prenet", path, tmp_path / "prenet.keras")
    model = models.load(out)
    assert type(model) is models.PReNet
    derained = model(nhwc(golden["in/rainy"]))
    expected = np.clip(nhwc(golden["out/derained"]), 0, 1)
    # stated with the golden data; float32 sums in another order
    np.testing.assert_allclose(derained, expected, atol=1e-4)
    assert keras.saving.load_model(out).count_params() == model.count_params()


def test_stages_of_prenet_are_an_argument(tmp_path):
    golden = official.load("prenet")
    path = pth_files.write_zip(tmp_path / "net.pth", official.tensors(golden))
    model = convert.load("prenet", path, {"stages": 2})
    made = model.network.progress(nhwc(golden["in/rainy"]))
    assert len(made) == 2
    # as above
    np.testing.assert_allclose(made[-1], nhwc(golden["mid/stage_2"]), atol=1e-4)
    with pytest.raises(ValueError, match="among stages: .* Received: filters"):
        convert.load("prenet", path, {"filters": 2})


def as_published(tensors):
    """Below `params`, as BasicSR saves networks."""
    return {f"params.{name}": tensor for name, tensor in tensors.items()}


def test_drsformer(tmp_path):
    golden = official.load("drsformer_net")
    tensors = as_published(official.tensors(golden))
    path = pth_files.write_zip(tmp_path / "deraining.pth", tensors)
    out = convert.convert("drsformer", path, tmp_path / "drsformer.keras")
    network = models.load(out).network
    # stated with the golden data; float32 sums in another order
    expected = nhwc(golden["out/y"])
    np.testing.assert_allclose(network(nhwc(golden["in/x"])), expected, atol=2e-4)


SIZES = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
DECODER = ("decoder_level3", "decoder_level2", "decoder_level1")


def with_idle_blocks(tensors):
    """Two blocks for each one: a first one that changes nothing, and the given one."""
    made = {}
    for name, tensor in tensors.items():
        level, _, rest = name.partition(".0.")
        if level not in (*SIZES, *DECODER):
            made[name] = tensor
            continue
        made[f"{level}.1.{rest}"] = tensor
        idle = rest.endswith(("attn.project_out.weight", "ffn.project_out.weight"))
        made[f"{level}.0.{rest}"] = np.zeros_like(tensor) if idle else tensor
    return made


def test_drsformer_of_several_blocks(tmp_path):
    golden = official.load("drsformer_net")
    tensors = with_idle_blocks(official.tensors(golden))
    path = pth_files.write_zip(tmp_path / "deraining.pth", tensors)
    network = convert.load("drsformer", path).network
    assert network.num_blocks == (2, 2, 2, 2)
    # as above
    expected = nhwc(golden["out/y"])
    np.testing.assert_allclose(network(nhwc(golden["in/x"])), expected, atol=2e-4)


def test_drsformer_without_mixtures(tmp_path):
    golden = official.load("drsformer_net")
    tensors = {
        name: tensor
        for name, tensor in official.tensors(golden).items()
        if not name.startswith(("encoder_level0.", "refinement."))
    }
    path = pth_files.write_zip(tmp_path / "deraining.pth", tensors)
    out = convert.convert("drsformer", path, tmp_path / "d.keras")
    network = models.load(out).network
    rainy = nhwc(golden["in/x"])
    # what the first block sees; float32 sums in another order
    embedded = nhwc(golden["mid/patch_embed"])
    np.testing.assert_allclose(network.shallow(rainy), embedded, atol=1e-5)
    assert np.all(np.isfinite(network(rainy)))


def test_rainmer(tmp_path):
    golden = official.load("rainmer_net")
    tensors = official.tensors(golden)
    tensors = {f"model.module.{name}": tensor for name, tensor in tensors.items()}
    path = pth_files.write_zip(tmp_path / "rainmer.pth", tensors)
    out = convert.convert("rainmer", path, tmp_path / "rainmer.keras")
    model = models.load(out)
    assert model.contrast is None and model.views == ["chromatic", "degradation"]
    network = model.network
    network.encoder.size = None  # the golden query is smaller than 128x128
    made = network.encoder(nhwc(golden["in/x_q"]))
    derained = network.restore(nhwc(golden["in/x"]), network.vectors(made))
    # stated with the golden data; ties of the authors' masks by lowest index
    expected = nhwc(golden["out/lowindex_ties"])
    np.testing.assert_allclose(derained, expected, atol=2e-4)
    other = convert.load("rainmer", path, {"cumulative": False})
    assert not other.network.options["cumulative"]


def jrgr_folder(folder):
    """The four networks and three critics of the golden step, a file each."""
    golden = official.load("jrgr_step")
    for name in ("G1", "G2", "G3", "G4", "D_B", "D_Os", "D_Ot"):
        tensors = official.tensors(golden, f"{name}/")
        pth_files.write_zip(folder / f"latest_net_{name}.pth", tensors)
        pth_files.write_zip(folder / f"5_net_{name}.pth", {"x": np.ones(1, "f4")})
    return golden


def test_jrgr_of_four_networks(tmp_path):
    golden = jrgr_folder(tmp_path)
    out = convert.convert("jrgr", tmp_path, tmp_path / "jrgr.keras")
    model = models.load(out)
    assert model.stage == "deploy" and model.variant == "code"
    images = (nhwc(golden[f"in/{name}"]) for name in ("Os", "Ot"))
    # the golden step was one of training, with the statistics of its batch
    made = model.translate(*images, training=True)
    for theirs, ours in (
        ("pred_pred_Os", "synthetic_cycled"),
        ("pred_Os", "made_synthetic_rainy"),
    ):
        expected = nhwc(golden[f"mid/{theirs}_s4"])
        # ResNets of random weights: 5e-4 stated for one, two stand in a row
        np.testing.assert_allclose(made[ours][:, ::4, ::4], expected, atol=1e-3)


@pytest.mark.parametrize("statistics", ["moving", "image"])
def test_jrgr_of_one_file(statistics, tmp_path):
    golden = official.load("jrgr_unet")
    path = pth_files.write_bare(tmp_path / "net.pth", official.tensors(golden))
    arguments = {"statistics": statistics}
    out = convert.convert("jrgr", path, tmp_path / "jrgr.keras", arguments)
    model = models.load(out)
    assert model.stage == "pretrain"
    derained = model(nhwc(golden["in/x_eval"] + 1) / 2).numpy()
    expected = np.clip(nhwc(golden["out/eval"]) / 2 + 0.5, 0, 1)
    # stated with the golden data: 5e-5 on [-1, 1]
    close = np.allclose(derained, expected, rtol=0, atol=2.5e-5)
    assert close == (statistics == "moving")


def test_jrgr_asks_for_whole_sets_of_files(tmp_path):
    jrgr_folder(tmp_path)
    (tmp_path / "latest_net_G2.pth").unlink()
    with pytest.raises(ValueError, match="of jrgr: it has no latest_net_G2.pth"):
        convert.load("jrgr", tmp_path)
    for path in tmp_path.glob("latest_*"):
        path.unlink()
    with pytest.raises(ValueError, match="it has no model.model.0.weight"):
        convert.load("jrgr", tmp_path)
    (tmp_path / "10_net_G1.pth").touch()
    with pytest.raises(ValueError, match="G4 of one epoch, but has 10, 5. Received"):
        convert.load("jrgr", tmp_path)


def test_airnet(tmp_path):
    golden = official.load("airnet_encoder")
    tensors = {
        "R.head.0.weight": np.ones((3, 3), "f4"),
        **{f"E.E.encoder_q.{n}": a for n, a in official.tensors(golden, "q/").items()},
        **{f"E.E.encoder_k.{n}": a for n, a in official.tensors(golden, "k/").items()},
        "E.E.queue": golden["w/queue"],
        "E.E.queue_ptr": np.array([4], "i8"),
        "E.E.encoder_q.E_pre.backbone.1.num_batches_tracked": np.array(7, "i8"),
    }
    path = pth_files.write_bare(tmp_path / "All.pth", tensors)
    out = convert.convert("airnet", path, tmp_path / "airnet.keras")
    model = models.load(out)
    made = model.encoder(nhwc(golden["in/x_q"]))
    # all stated with the golden data; float32 sums in another order
    np.testing.assert_allclose(made["embedding"], golden["out/eval_out"], atol=1e-5)
    logits = model.contrast(nhwc(golden["in/x_q"]), nhwc(golden["in/x_k"]))
    # the newest stand first here, and are replaced from place 4 on there
    order = [0, *(1 + (3 - np.arange(16)) % 16)]
    expected = 0.07 * golden["out/train_logits"][:, order]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    tensors["E.E.queue_ptr"] = np.array([16], "i8")
    path = pth_files.write_bare(tmp_path / "All.pth", tensors)
    with pytest.raises(ValueError, match=r"queue_ptr is \[16.0\], for 16 images"):
        convert.load("airnet", path)


def write_checkpoint(prefix, tensors, scope=""):
    """Writes a checkpoint of TensorFlow 1, with Adam's moments and the step."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = dict(tensors) | {"global_step": np.array(5, "i8")}
        for name, tensor in tensors.items():
            if name.endswith("kernel"):
                made |= {f"{name}/Adam": 0 * tensor, f"{name}/Adam_1": 0 * tensor}
        variables = [
            tf.compat.v1.Variable(tensor, name=scope + name)
            for name, tensor in made.items()
        ]
        session.run(tf.compat.v1.variables_initializer(variables))
        return tf.compat.v1.train.Saver(variables).save(session, str(prefix))


@pytest.mark.parametrize("case", ["menet_noca", "menet_ca"])
def test_menet(case, tmp_path):
    golden = official.load(case)
    prefix = write_checkpoint(tmp_path / "model.ckpt-100", official.tensors(golden))
    out = convert.convert("menet", prefix, tmp_path / "menet.keras")
    model = models.load(out)
    config = json.loads(str(golden["config"][0]))
    assert model.network.channel_attention == config["channel_attention"]
    rainy, expected = golden["in/rain"] / 255, golden["out/eval"] / 255
    # stated with the golden data: 1e-3 on 0..255
    np.testing.assert_allclose(model(rainy), expected, atol=1e-3 / 255)


def test_menet_is_found_by_any_of_its_files(tmp_path):
    golden = official.load("menet_noca")
    tensors = official.tensors(golden)
    prefix = write_checkpoint(tmp_path / "model", tensors, "net/")
    expected = tensors["derain/layer5/layer5_conv/kernel"]
    for path in (tmp_path, f"{prefix}.index", f"{prefix}.data-00000-of-00001"):
        network = convert.load("menet", path).network
        np.testing.assert_array_equal(network.residual.kernel, expected)


def test_menet_refuses_what_is_damaged_or_foreign(tmp_path):
    tensors = official.tensors(official.load("menet_noca"))
    with pytest.raises(FileNotFoundError):
        convert.load("menet", tmp_path / "none")
    with pytest.raises(ValueError, match="the folder has no TensorFlow checkpoint"):
        convert.load("menet", tmp_path)
    pth = pth_files.write_zip(tmp_path / "net.pth", prenet_weights())
    with pytest.raises(ValueError, match="menet: it is not a complete TensorFlow"):
        convert.load("menet", pth)
    other = write_checkpoint(tmp_path / "other", {"a/kernel": np.ones(3, "f4")})
    with pytest.raises(ValueError, match="it has no derain/layer1/layer1_conv/kernel"):
        convert.load("menet", other)
    more = {**tensors, "derain/layer9/kernel": np.ones(3, "f4")}
    with pytest.raises(ValueError, match="it also has derain/layer9/kernel"):
        convert.load("menet", write_checkpoint(tmp_path / "more", more))
    del tensors["derain/res_3_b/res_3_b_conv/kernel"]
    with pytest.raises(ValueError, match="it has no derain/res_3_b/"):
        convert.load("menet", write_checkpoint(tmp_path / "fewer", tensors))
    for suffix in ("data-00000-of-00001", "index"):
        path = tmp_path / f"more.{suffix}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError, match="not a complete TensorFlow") as error:
            convert.load("menet", tmp_path / "more")
        assert "\n" not in str(error.value)


def test_refusals_leave_no_file(tmp_path):
    weights = prenet_weights()
    path = pth_files.write_zip(tmp_path / "net.pth", weights)
    out = tmp_path / "out.keras"
    with pytest.raises(ValueError, match=r"one of .*prenet.* Received: network='pre'"):
        convert.convert("pre", path, out)
    with pytest.raises(ValueError, match="must end with .keras"):
        convert.convert("prenet", path, tmp_path / "out.h5")
    with pytest.raises(FileNotFoundError):
        convert.convert("prenet", tmp_path / "none.pth", out)
    other = pth_files.write_zip(
        tmp_path / "other.pth", {"a.weight": weights.popitem()[1]}
    )
    with pytest.raises(ValueError, match="the weights of prenet: it has no conv"):
        convert.convert("prenet", other, out)
    fewer = {k: v for k, v in weights.items() if not k.startswith("res_conv2")}
    shared = pth_files.write_bare(tmp_path / "shared.pth", fewer)
    with pytest.raises(ValueError, match="the weights of prenet: it has no"):
        convert.convert("prenet", shared, out)
    assert not out.exists()


PTH = {
    "airnet": "airnet_encoder",
    "drsformer": "drsformer_net",
    "jrgr": "jrgr_unet",
    "rainmer": "rainmer_net",
}


@pytest.mark.parametrize("network", PTH)
def test_other_and_damaged_files_get_one_line(network, tmp_path):
    path = pth_files.write_zip(tmp_path / "prenet.pth", prenet_weights())
    with pytest.raises(ValueError, match=f"the weights of {network}: it has no "):
        convert.load(network, path)
    if network == "rainmer":  # whose names are among its own
        tensors = official.tensors(official.load("drsformer_net"))
        path = pth_files.write_zip(tmp_path / "drsformer.pth", tensors)
        with pytest.raises(ValueError, match="of rainmer: it has no disentangle.enc"):
            convert.load(network, path)
    if network == "drsformer":
        tensors = official.tensors(official.load("rainmer_net"))
        path = pth_files.write_zip(tmp_path / "rainmer.pth", tensors)
        with pytest.raises(ValueError, match="of drsformer: .*has"):
            convert.load(network, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="must be a complete PyTorch file") as error:
        convert.load(network, path)
    assert "\n" not in str(error.value)

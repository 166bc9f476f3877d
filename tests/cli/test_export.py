"""Commands `export` and `list`, with stand-ins for the exports."""

import json
from unittest import mock

from tfderain import export, models, presets
from tfderain.export import report


def test_export_writes_what_is_asked_for(folder, run):
    made = export.Artefact(
        *(folder / "made", "litert", "float32", 2_700_000, 1e-7, 1e-8, ((4, 4),), 0.1)
    )
    with (
        mock.patch.object(models, "load", autospec=True, return_value="model"),
        mock.patch.object(report, "to_saved_model", autospec=True) as saved_model,
        mock.patch.object(report, "to_litert", autospec=True) as litert,
    ):
        saved_model.return_value = litert.return_value = made
        (folder / "x").mkdir()
        options = ["--to", "litert", "--to", "saved_model", "--size", "64x96"]
        code, out, err = run("export", "menet", "--out", "x", *options, "--overwrite")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()[-2:]]
    numbers = ["2.7", "1.0e-07", "1.0e-08", "-", "-", "-"]
    assert rows == [["made", name, *numbers] for name in ("litert", "saved_model")]
    assert litert.call_args.args[0] == saved_model.call_args.args[0] == "model"
    assert litert.call_args.kwargs["size"] == (64, 96)
    assert litert.call_args.kwargs["overwrite"] is True
    assert litert.call_args.kwargs["metadata"]["preset"] == "menet"


def test_list_without_presets_says_how_to_get_one(folder, run, monkeypatch):
    monkeypatch.setattr(presets, "roots", lambda: (folder,))
    code, out, _ = run("list")
    assert code == 0 and out.startswith("No preset is installed.")


def test_list_shows_the_cards(folder, run):
    shipped = run("list")[1]
    # The form of `drops` is known before its weights are there.
    waiting = {"drops"} - {*presets.available()}
    assert all(f"{name}: " in shipped for name in presets.FORMS if name not in waiting)
    card = {
        "model": "MENET",
        "licence": "some terms",
        "scores": [
            {
                "set": "Rain100L",
                "protocol": "matlab_y_float",
                "input_psnr": 25.93,
                "psnr": 34.1234,
                "input_ssim": 0.8346,
                "ssim": 0.95,
            }
        ],
        "files": {"model.tflite": {"bytes": 2_700_000}},
    }
    (folder / "presets" / "mine").mkdir(parents=True)
    (folder / "presets" / "mine" / "card.json").write_text(json.dumps(card))
    code, out, _ = run("list")
    assert code == 0
    for part in ("mine", "2.7 MB", "Rain100L: 25.93 -> 34.12 dB", "some terms"):
        assert part in out
    assert run("list", "--json", "new/cards.json")[0] == 0
    assert json.loads((folder / "new" / "cards.json").read_text())["mine"] == card
    code, _, err = run("list", "--json", "new/cards.json")
    assert code == 2 and "--overwrite" in err[0]

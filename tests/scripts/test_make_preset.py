"""scripts/make_preset.py: what a card tells of a run's history."""

import pytest
import script_modules


@pytest.fixture(scope="module")
def script():
    return script_modules.script("make_preset")


def history(folder, epochs):
    lines = ["epoch,learning_rate,loss,val_loss,val_psnr_rgb,val_psnr_rgb_own"]
    lines += [f"{i},0.001,9,9,{20 + i},{30 + i}" for i in range(epochs)]
    path = folder / "history.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_short_curve_is_kept_whole(script, tmp_path):
    assert script.learning_curve(history(tmp_path, 2)) == [
        {
            "epoch": 1,
            "learning_rate": 0.001,
            "val_psnr_rgb": 20.0,
            "val_psnr_rgb_own": 30.0,
        },
        {
            "epoch": 2,
            "learning_rate": 0.001,
            "val_psnr_rgb": 21.0,
            "val_psnr_rgb_own": 31.0,
        },
    ]


@pytest.mark.parametrize("epochs", [24, 25, 99, 400])
def test_a_long_curve_is_thinned_and_ends_where_the_run_ended(script, tmp_path, epochs):
    curve = script.learning_curve(history(tmp_path, epochs))
    found = [point["epoch"] for point in curve]
    assert 12 <= len(found) <= 24
    assert found[-1] == epochs
    assert len({b - a for a, b in zip(found, found[1:], strict=False)}) == 1


def test_without_a_history_there_is_no_curve(script, tmp_path):
    assert script.learning_curve(tmp_path / "history.csv") == []
    assert script.learning_curve(history(tmp_path, 0)) == []

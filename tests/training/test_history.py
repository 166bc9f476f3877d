"""History of a run: rows added, cut back to whole epochs, and damage named."""

import pytest

from tfderain.training import history


def test_history_is_cut_back_to_whole_epochs(tmp_path):
    path = tmp_path / "history.csv"
    history.append(path, {"loss": 0.5, "epoch": 0})
    history.append(path, {"epoch": 1, "loss": 0.4})
    with path.open("a") as file:
        file.write("2,0")  # an epoch that was never saved
    history.truncate(path, 2)
    assert path.read_text().split() == ["epoch,loss", "0,0.5", "1,0.4"]
    path.write_text("epoch,loss\n0,0.5\n1")  # killed while writing a row
    history.truncate(path, 2)
    assert path.read_text().split() == ["epoch,loss", "0,0.5"]
    history.truncate(path, 0)
    assert not path.exists()


def test_a_file_cut_off_in_its_header_is_begun_again(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,lo")
    history.truncate(path, 3)
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "epoch,loss\n0,0.5,7\n", "epoch,loss\n0\n1,0.2\n", "\0\0"]
)
def test_damage_is_named(text, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"Move it away.*history\.csv"):
        history.read(path)

"""The evaluation report: its numbers, its worst and best images, its papers."""

import dataclasses

import pytest
from watched_images import watched

from tfderain import evaluation, extras
from tfderain.analysis import evaluation_report, pages
from tfderain.evaluation import comparison


def results(models=("a", "b"), count=4, data="set", **settings):
    """Model number n gains n + 1 dB on each image; images lie 1 dB apart."""
    found = {}
    for gain, model in enumerate(models, 1):
        rows = tuple(
            evaluation.Row(
                f"{n}.png", 20.0 + n + gain, 0.5 + gain / 10, 20.0 + n, 0.5, 0.25
            )
            for n in range(count)
        )
        one = evaluation.Result(
            model, "matlab_y_float", data, rows, {"python": "3.11"}, **settings
        )
        found[model] = {"set": one}
    return comparison.Comparison(found)


def written(monkeypatch, found, folder, **settings):
    """The blocks of the page that is written."""
    kept = []
    write_html = pages.Page.write_html

    def keep(page, path):
        kept.extend(page.blocks)
        write_html(page, path)

    monkeypatch.setattr(pages.Page, "write_html", keep)
    evaluation_report.write(found, folder, **settings)
    return kept


def tables(blocks):
    return [block for block in blocks if isinstance(block, pages.Table)]


def test_tables_have_the_scores_and_name_the_channel(monkeypatch, tmp_path):
    blocks = written(monkeypatch, results(), tmp_path / "r", command="tfderain x")
    overview, means, hard, first, scored = tables(blocks)
    assert overview.rows == [
        ["rainy", "21.50 / 0.5000"],
        ["a", "22.50 / 0.6000"],
        ["b", "23.50 / 0.7000"],
    ]
    assert means.rows[0] == ["rainy", "21.50", "", "0.5000", "", "", ""]
    assert means.rows[2] == [
        *("b", "23.50", "+2.00", "0.7000", "+0.2000", "0.250", "0.250")
    ]
    # images 0 and 1 are below the mean of 21.5 dB, 2 and 3 above it
    assert hard.rows[0][:5] == ["a", "21.50", "+1.00", "23.50", "+1.00"]
    assert hard.rows[0][5:] == ["100.0% (4/4)", "100.0% (2/2)", "100.0% (2/2)"]
    assert first.rows == [
        ["b", "100.0% (4/4)", "100.0% (2/2)", "100.0% (2/2)", "+1.00"]
    ]
    for table in (overview, means, hard, first):
        assert "matlab_y_float" in table.caption
        assert "psnr_y" in " ".join([table.caption, *table.titles])
    assert scored.rows[0] == ["a", "set", "set", "4"]
    assert pages.Code("tfderain x") in blocks


def test_every_table_says_what_was_fitted(monkeypatch, tmp_path):
    found = results(fit="gain_offset")
    blocks = written(monkeypatch, found, tmp_path / "r")
    overview, means, hard, first, _ = tables(blocks)
    said = "matlab_y_float, after gain and offset fitted for each channel"
    for table in (overview, means, hard, first):
        assert said in table.caption
    assert "after gain and offset fitted" in blocks[0].text


def test_clean_images_are_neither_hard_nor_easy(monkeypatch, tmp_path):
    blocks = written(monkeypatch, results(identity=True), tmp_path / "r")
    assert not [b for b in blocks if "Hard" in getattr(b, "text", "")]
    assert tables(blocks)[1].rows[0][0] == "clean, as given"


def test_scenes_have_a_table(monkeypatch, tmp_path):
    found = results(("a",))
    one = found.flat()[0]
    rows = [
        dataclasses.replace(r, group=f"scene {n % 2}") for n, r in enumerate(one.rows)
    ]
    one = dataclasses.replace(one, rows=tuple(rows))
    blocks = written(
        monkeypatch, comparison.Comparison({"a": {"set": one}}), tmp_path / "r"
    )
    scenes = tables(blocks)[1]
    assert scenes.rows == [
        ["scene 0", "21.00 / 0.5000", "22.00 / 0.6000"],
        ["scene 1", "22.00 / 0.5000", "23.00 / 0.6000"],
    ]


def test_papers_stand_beside_what_is_measured_only_where_all_agrees(
    monkeypatch, tmp_path
):
    whole = written(monkeypatch, results(count=100, data="Rain100H"), tmp_path / "1")
    beside = [t for t in tables(whole) if t.titles[2:3] == ["where from"]]
    (table,) = beside
    methods = [row[0] for row in table.rows]
    # 71 and 72 dB on average, then PReNet's 29.46 dB and so on
    assert methods[:3] == ["b", "a", "PReNet"] and list(table.strong) == [0, 1]
    assert table.rows[2][1] == "29.46 / 0.899" and "README" in table.rows[2][2]
    (details,) = [b for b in whole if isinstance(b, pages.Details)]
    assert "Restormer" in [row[0] for row in details.blocks[0].rows]
    part = written(monkeypatch, results(count=35, data="Rain100H"), tmp_path / "2")
    assert not [t for t in tables(part) if t.titles[2:3] == ["where from"]]
    assert [b for b in part if "can stand beside" in getattr(b, "text", "")]
    unknown = written(monkeypatch, results(), tmp_path / "3")
    assert not [b for b in unknown if "papers" in getattr(b, "text", "")]


def test_charts_or_a_line_that_names_the_extra(monkeypatch, tmp_path):
    blocks = written(monkeypatch, results(("runs/" + 40 * "long", "b")), tmp_path / "1")
    (drawn,) = [b for b in blocks if isinstance(b, pages.Pictures)]
    assert [p.path.name for p in drawn.each] == ["1-set-psnr.svg", "1-set-ssim.svg"]
    assert all(p.path.read_text().lstrip().startswith("<?xml") for p in drawn.each)
    monkeypatch.setattr(extras, "installed", lambda *packages: False)
    blocks = written(monkeypatch, results(), tmp_path / "2")
    assert not [b for b in blocks if isinstance(b, pages.Pictures)]
    (line,) = [b.text for b in blocks if "Matplotlib" in getattr(b, "text", "")]
    assert 'pip install "tfderain[analysis]"' in line


def test_a_report_is_not_overwritten(tmp_path):
    evaluation_report.write(results(), tmp_path)
    with pytest.raises(FileExistsError, match=r"Received: .*report\.html"):
        evaluation_report.write(results(), tmp_path)
    evaluation_report.write(results(), tmp_path, overwrite=True)


def test_crops_are_in_the_page(monkeypatch, tmp_path):
    found = results(("model",))
    blocks = written(monkeypatch, found, tmp_path / "r", extremes=watched([5, 1, 4, 2]))
    small = [b for b in blocks if isinstance(b, pages.Pictures) and b.small]
    names = [[p.path.name for p in b.each] for b in small]
    assert names == [
        ["1-set-1-model-worst-1.jpg", "1-set-1-model-worst-2.jpg"],
        ["1-set-1-model-best-1.jpg", "1-set-1-model-best-2.jpg"],
    ]
    assert small[0].each[0].caption.startswith("0.png: psnr_y 10.00 → ")
    assert all(p.path.is_file() for b in small for p in b.each)

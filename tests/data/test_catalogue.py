import json
import pathlib
import re

import data_set_trees as trees
import pytest

from tfderain.data import catalogue, descriptions, layouts


def test_the_data_sets_are_known():
    known = "rain100l rain100h raintrainl raintrainh rain200l rain200h rain12 rain800 "
    known += "ddn did rain13k spa raindrop gtrain realrain1k lhprain rainds "
    known += "rainds_rainstreak rainds_raindrop gtav_nightrain allweather "
    known += "raincityscapes sirr"
    assert list(catalogue.CATALOGUE) == known.split()
    with pytest.raises(ValueError, match=r"must be one of .*rain800.*name='rain9'"):
        catalogue.get("rain9")


@pytest.mark.parametrize(
    ("name", "key", "split"),
    [
        ("Rain100H", "rain100h", None),
        ("SPA-Data", "spa", None),
        ("RealRain-1k", "realrain1k", None),
        ("LHP-Rain", "lhprain", None),
        ("RainDS_raindrop", "rainds_raindrop", None),
        ("Test2800", "rain13k", "Test2800"),
        ("Rain1200", "did", "test"),
        ("Rain12600", "ddn", "train"),
    ],
)
def test_names_as_papers_write_them(name, key, split):
    assert catalogue.resolve(name) == (key, split)


def test_each_entry_fits_together():
    for name, one in catalogue.CATALOGUE.items():
        assert one.layout in ("files", "left_clean", "left_rainy"), name
        assert one.patterns and set(one.folders) <= set(one.counts), name
        for pattern in one.patterns:
            sides = 1 if one.layout != "files" else 2
            assert all(len(p.split(":")) == sides for p in pattern.split(" | ")), name
            for part in pattern.split(" | "):
                layouts.below([], part)  # a pattern that cannot be read raises
        for other in one.spoils:
            catalogue.resolve(other)  # raises for an unknown name
    assert {split for _, split in catalogue.PARTS.values() if split} <= {
        split for one in catalogue.CATALOGUE.values() for split in one.counts
    }


def test_readme_and_docs_count_them():
    root = pathlib.Path(__file__).parents[2]
    for page in ("README.md", "docs/data_sets.md"):
        text = (root / page).read_text(encoding="utf-8")
        assert re.search(rf"\b{len(catalogue.CATALOGUE)} (public )?data sets", text), (
            page
        )


def test_each_data_set_has_a_small_tree():
    assert {name for name, _ in trees.NAMES} == set(catalogue.CATALOGUE)


def test_the_listing_has_every_data_set_with_its_pairs():
    listing = descriptions.listing()
    assert list(json.loads(listing.to_json())["data_sets"]) == list(catalogue.CATALOGUE)
    lines = listing.table().splitlines()
    assert len(lines) == 2 + len(catalogue.CATALOGUE)
    (line,) = (line for line in lines if line.startswith("raindrop "))
    assert "train 861, test_a 58, test_b ?" in line and "real" in line


def test_the_description_of_raintrainh_names_what_it_spoils():
    found = descriptions.describe("RainTrainH")
    assert set(json.loads(found.to_json())["spoils"]) == {"rain100h", "rain100l"}
    table = found.table()
    assert "BSDS500" in table and "spoils rain100h" in table
    assert catalogue.CATALOGUE["raintrainh"].source in table
    assert "academic use" in table

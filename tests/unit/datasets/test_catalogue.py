"""The cards: facts agree with torchvision's, and say what they do not know."""

from __future__ import annotations

import re

import pytest

from lossnets.datasets import card, cards
from lossnets.errors import UnknownNameError
from lossnets.torchvision_compat import ensure_torchvision

NAMES = [
    "bapps", "coco2014", "bsds300", "bsds500", "set5", "set14", "massachusetts-roads", "svhn", "stl10",
    "triplets-csv", "opinions-csv", "image-folder", "labelled-folder", "masks-folder",
    "sample", "sample-photographs", "sample-roads", "sample-digits",
]  # fmt: skip


def test_all_are_there():
    assert [c.name for c in cards()] == NAMES
    with pytest.raises(UnknownNameError, match=r"data set 'svnh' is not known\. Did you mean 'svhn'"):
        card("svnh")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_filled_in(name):
    c = card(name)
    assert all((c.title, c.licence, c.how_to_get, c.use))
    if not c.archives:
        assert not c.contents
        return
    assert all((c.citation, c.size_on_disk, c.files))
    assert c.homepage.startswith("http")
    assert {part for a in c.archives for part in a.parts or c.parts} == set(c.parts)
    assert not any(
        "*" in pattern.rpartition("/")[0] for content in c.contents for pattern in content.patterns
    )
    for a in c.archives:
        assert a.size or a.unpacked
        assert a.sha256 is None or re.fullmatch("[0-9a-f]{64}", a.sha256)
        assert a.md5 is None or re.fullmatch("[0-9a-f]{32}", a.md5)
        assert bool(a.checksum_from) == bool(a.sha256 or a.md5)
    if not all(a.checksum_from for a in c.archives):
        assert "checksum" in c.remark


def test_numbers_as_published():
    assert card("coco2014").expected == {"train2014/*.jpg": 82_783, "val2014/*.jpg": 40_504}
    assert sum(card("bsds300").expected.values()) == 300
    assert sum(card("bsds500").expected.values()) == 500
    roads = card("massachusetts-roads").expected
    assert [roads[f"{split}/sat/*.tiff"] for split in ("train", "valid", "test")] == [1108, 14, 49]
    assert [roads[f"{split}/map/*.tif"] for split in ("train", "valid", "test")] == [1108, 14, 49]
    assert card("bapps").needed_parts == ("2afc-val", "jnd")
    assert card("stl10").needed_parts == ("train", "test", "unlabeled")
    assert card("sample-roads").title.startswith("GENERATED")


def test_svhn_and_stl10_are_what_torchvision_expects():
    ensure_torchvision()
    from torchvision.datasets import STL10, SVHN

    md5s = {content.patterns[0]: content.md5 for content in card("svhn").contents}
    assert md5s == {file: md5 for _, file, md5 in SVHN.split_list.values()}
    assert {a.url for a in card("svhn").archives} == {url for url, _, _ in SVHN.split_list.values()}
    md5s = {content.patterns[0]: content.md5 for content in card("stl10").contents}
    assert md5s == {f"{STL10.base_folder}/{file}": md5 for file, md5 in STL10.train_list + STL10.test_list}
    (archive,) = card("stl10").archives
    assert (archive.url, archive.filename, archive.md5) == (STL10.url, STL10.filename, STL10.tgz_md5)
    assert [c.size for c in card("stl10").contents] == [
        5000 * 27648,
        5000,
        8000 * 27648,
        8000,
        100000 * 27648,
    ]

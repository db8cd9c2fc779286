"""CSV readers: direction of votes and scores, columns, filters, and every way a table can be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from PIL import Image

from lossnets.datasets import read_opinions_csv, read_triplets_csv
from lossnets.errors import ConfigError, DataError

TRIPLETS = "ref,a,b,votes_a,votes_b,index_uncertain\nr.png,x.png,y.png,4,1,0\nr.png,y.png,x.png,0,3,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("r", "x", "y"):
        Image.new("RGB", (6, 4)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_judge_is_the_share_of_votes_for_b(folder, name):
    data = read_triplets_csv(table(folder, TRIPLETS, name))
    first, second = data.items
    assert (first.ref, first.p0, first.p1) == ("r.png", "x.png", "y.png")
    assert first.judge == pytest.approx(1 / 5)  # four of five found a closer
    assert second.judge == 1.0
    assert (data.name, data.splits, data.resize, data.kind) == ("t", ("all",), None, "human judgement")


def test_the_fingerprint_knows_content_but_not_place(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "images").mkdir()
    for file in (folder / "images").iterdir():
        (other / "images" / file.name).write_bytes(file.read_bytes())
    here, there = (read_triplets_csv(table(f, TRIPLETS)).fingerprint() for f in (folder, other))
    assert here == there
    assert here != read_triplets_csv(table(folder, TRIPLETS.replace("4,1,0", "3,2,0"))).fingerprint()
    assert here != read_triplets_csv(table(folder, TRIPLETS), resize=2).fingerprint()
    Image.new("RGB", (60, 40), (1, 2, 3)).save(folder / "images" / "x.png")
    assert here != read_triplets_csv(table(folder, TRIPLETS)).fingerprint()


def test_drop_leaves_out_marked_rows(folder):
    assert len(read_triplets_csv(table(folder, TRIPLETS), drop="index_uncertain")) == 1
    with pytest.raises(DataError, match=r"no rows after dropping rows with 'index_uncertain'"):
        read_triplets_csv(table(folder, TRIPLETS.replace(",0\n", ",yes\n")), drop="index_uncertain")
    with pytest.raises(DataError, match=r"line 2: column 'index_uncertain' must hold 1/0.*'maybe'"):
        read_triplets_csv(table(folder, TRIPLETS.replace("4,1,0", "4,1,maybe")), drop="index_uncertain")


def test_columns_splits_and_a_judge_column_can_be_named(folder):
    text = "R;A;B;J;S\n".replace(";", ",") + "r.png,x.png,y.png,0.75,two\nx.png,y.png,r.png,0.5,one\n"
    data = read_triplets_csv(table(folder, text), ref="R", a="A", b="B", judge="J", split="S", name="mine")
    assert [(t.judge, t.split) for t in data.items] == [(0.75, "two"), (0.5, "one")]
    assert data.splits == ("two", "one")
    assert data.name == "mine"


@pytest.mark.parametrize("second", ["r.png,x.png,y.png", "r.png,y.png,x.png"])
def test_a_row_in_two_splits_is_refused(folder, second):
    rows = f"r.png,x.png,y.png,1,0,train\n{second},1,0,test\n"
    with pytest.raises(DataError, match=r"'r.png' with .* in split 'train' is also .* in split 'test'"):
        read_triplets_csv(table(folder, f"ref,a,b,votes_a,votes_b,split\n{rows}"), split="split")
    opinions = table(folder, "ref,dist,mos,split\nr.png,x.png,1,train\nr.png,x.png,1,test\n", "o.csv")
    with pytest.raises(DataError, match=r"'x.png' of 'r.png' in split 'train' is also .* in split 'test'"):
        read_opinions_csv(opinions, higher_is_better=True, split="split")


def test_a_column_that_stands_twice_is_refused_with_both_places(folder):
    with pytest.raises(DataError, match=r"t.csv: column 'a' stands there twice, as columns 2 and 4"):
        read_triplets_csv(table(folder, "ref,a,b,a,votes_a,votes_b\nr.png,x.png,y.png,y.png,1,0\n"))


def test_damaged_compression_is_told_as_such(folder):
    path = table(folder, TRIPLETS * 50, "t.csv.gz")
    data = bytearray(path.read_bytes())
    for place in range(12, len(data) - 8):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"t.csv.gz' cannot be read as CSV"):
        read_triplets_csv(path)


LONG = "x" * 300


def test_names_that_no_system_takes_are_not_there(folder):
    with pytest.raises(DataError, match="does not exist"):
        read_triplets_csv(folder / f"{LONG}.csv")
    with pytest.raises(DataError, match=r"images_dir .* does not exist"):
        read_triplets_csv(table(folder, TRIPLETS), folder / LONG)
    with pytest.raises(DataError, match=r"1 image\(s\) named in t.csv are not below"):
        read_triplets_csv(table(folder, TRIPLETS.replace("r.png,x.png", f"r.png,{LONG}.png", 1)))


def test_byte_order_mark_and_spaces_are_fine(folder):
    assert read_triplets_csv(table(folder, "\ufeff" + TRIPLETS)).items[0].ref == "r.png"
    assert read_triplets_csv(table(folder, TRIPLETS.replace("r.png,x", " r.png ,x"))).items[0].ref == "r.png"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("votes_b", "voices_b", r"column of t\.csv 'votes_b' is not known.*'voices_b'.*Say which column"),
        ("4,1", "four,1", r"line 2: column 'votes_a' must hold a finite number; got 'four'"),
        ("4,1", "nan,1", "finite number; got 'nan'"),
        ("4,1", "-4,1", r"votes \(0 or more, not both 0\); got -4 and 1"),
        ("4,1", "0,0", "not both 0"),
        ("4,1", ",1", "column 'votes_a' is empty"),
        ("r.png,x.png", ",x.png", "column 'ref' is empty"),
        (
            "x.png,y.png,4",
            "x.png,none.png,4",
            r"1 image\(s\) named in t\.csv are not below .*images.*none\.png",
        ),
        ("4,1,0", "4,1", "more or fewer values"),
        ("4,1,0", "4,1,0,9", "more or fewer values"),
    ],
)
def test_a_bad_table_says_where(folder, old, new, said):
    with pytest.raises(DataError, match=said):
        read_triplets_csv(table(folder, TRIPLETS.replace(old, new, 1)))


@pytest.mark.parametrize("text", ["ref,a,b,votes_a,votes_b\n", "\n"])
def test_an_empty_table_is_refused(folder, text):
    with pytest.raises(DataError, match=r"has no rows|is not known"):
        read_triplets_csv(table(folder, text))


def test_missing_broken_and_binary_tables_are_refused(folder):
    with pytest.raises(DataError, match="does not exist"):
        read_triplets_csv(folder / "none.csv")
    (folder / "b.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read as CSV in UTF-8"):
        read_triplets_csv(folder / "b.csv")
    whole = table(folder, TRIPLETS * 50, "w.csv.gz").read_bytes()
    (folder / "c.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_triplets_csv(folder / "c.csv.gz")
    with pytest.raises(DataError, match="images_dir"):
        read_triplets_csv(table(folder, TRIPLETS), folder / "nowhere")
    with pytest.raises(ConfigError, match="differ from each other"):
        read_triplets_csv(table(folder, TRIPLETS), a="ref")


def test_a_judge_outside_the_interval_is_refused(folder):
    text = "ref,a,b,j\nr.png,x.png,y.png,1.2\n"
    with pytest.raises(DataError, match=r"line 2: column 'j' must hold a fraction in \[0, 1\]; got 1\.2"):
        read_triplets_csv(table(folder, text), judge="j")


def test_images_beside_the_table_are_found_without_a_folder_of_their_own(folder):
    text = (
        TRIPLETS.replace("r.png", "images/r.png")
        .replace("x.png", "images/x.png")
        .replace("y.png", "images/y.png")
    )
    data = read_triplets_csv(table(folder, text), folder)
    assert data.images.load(data.items[0].p0).shape == (3, 4, 6)


OPINIONS = "dist,ref,mos\nx.png,r.png,3.5\ny.png,r.png,1\n"


def test_opinions_carry_score_and_direction(folder):
    data = read_opinions_csv(table(folder, OPINIONS), higher_is_better=True, resize=2)
    assert [(o.ref, o.distorted, o.score) for o in data.items] == [
        ("r.png", "x.png", 3.5),
        ("r.png", "y.png", 1.0),
    ]
    assert data.images.load("x.png").shape == (3, 2, 3)
    turned = read_opinions_csv(table(folder, OPINIONS), higher_is_better=False, resize=2)
    assert data.fingerprint() != turned.fingerprint()


def test_the_direction_has_no_default_and_is_a_bool(folder):
    with pytest.raises(TypeError, match="higher_is_better"):
        read_opinions_csv(table(folder, OPINIONS))  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="higher_is_better must be True"):
        read_opinions_csv(table(folder, OPINIONS), higher_is_better="yes")  # type: ignore[arg-type]


def test_a_bad_opinion_says_where(folder):
    with pytest.raises(DataError, match=r"t\.csv, line 3: column 'mos' must hold a finite number; got 'inf'"):
        read_opinions_csv(table(folder, OPINIONS.replace(",1\n", ",inf\n")), higher_is_better=True)


@pytest.mark.shared
def test_real_material_triplets(shared_data):
    folder = shared_data / "human_judgements" / "material_similarity"
    test = read_triplets_csv(folder / "triplets_test.csv")
    kept = read_triplets_csv(folder / "triplets_test.csv", drop="index_uncertain", resize=32)
    assert (len(test), len(kept)) == (3000, 2820)
    assert len(read_triplets_csv(folder / "triplets_train.csv.gz", drop="index_uncertain")) == 20363
    # people and plain pixels agree more often than not, which they would not with the votes swapped
    agree = []
    for t in kept.items[:600]:
        if t.judge != 0.5:
            ref, p0, p1 = (kept.images.load(k) for k in (t.ref, t.p0, t.p1))
            agree.append((((ref - p1) ** 2).mean() < ((ref - p0) ** 2).mean()).item() == (t.judge > 0.5))
    assert sum(agree) / len(agree) > 0.58


@pytest.mark.shared
def test_real_opinions(shared_data):
    csv = shared_data / "human_judgements" / "kadid_subset" / "scores.csv"
    data = read_opinions_csv(csv, higher_is_better=True, split="distortion")
    assert len(data) == 76
    assert "JPEG" in data.splits
    assert data.images.load(data.items[0].distorted).shape == (3, 384, 512)

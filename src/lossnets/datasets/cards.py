"""The cards: published facts only. Where nobody published a checksum, content is checked instead."""

from __future__ import annotations

from lossnets.datasets.facts import JUDGED_BY_PEOPLE, Archive, Content, DataSetCard
from lossnets.datasets.local_cards import LOCAL_CARDS

_TFDS = "TensorFlow Datasets"
_TORCHVISION = "torchvision"
_FETCH = "Run `lossnets data fetch {0}`, or put your copy at <place>/{0}, with LOSSNETS_DATA=<place>."
_MIRROR = (
    "There is no canonical archive any more: this is a widely used mirror of the PNG images. No "
    "checksum is published; the number of images is checked."
)
_BAPPS_URL = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset"
_BAPPS_2AFC = {
    "2afc-val": {
        "traditional": 4650, "cnn": 4650, "superres": 10850, "deblur": 9350, "color": 4650,
        "frameinterp": 1850,
    },
    "2afc-train": {"traditional": 56550, "cnn": 38050, "mix": 56550},
}  # fmt: skip
_ROADS_URL = "https://www.cs.toronto.edu/~vmnih/data/mass_roads"
_ROADS = {"train": ("train", 1108), "val": ("valid", 14), "test": ("test", 49)}
_SVHN_URL = "http://ufldl.stanford.edu/housenumbers"


def _bapps_contents() -> tuple[Content, ...]:
    """The makers publish rounded numbers (56.6k, 4.7k, ...): at least what rounds to them."""
    two = [
        _at_least(part, f"2afc/{part.removeprefix('2afc-')}/{split}/{kind}", n, optional=part == "2afc-train")
        for part, splits in _BAPPS_2AFC.items()
        for split, n in splits.items()
        for kind in ("ref/*.png", "p0/*.png", "p1/*.png", "judge/*.npy")
    ]
    same = [
        _at_least("jnd", f"jnd/val/{split}/{kind}", 4750)
        for split in ("traditional", "cnn")
        for kind in ("p0/*.png", "p1/*.png", "same/*.npy")
    ]
    return (*two, *same)


def _at_least(part: str, pattern: str, count: int, *, optional: bool = False) -> Content:
    images = pattern.endswith(".png")
    return Content(part, (pattern,), count, at_least=True, images=images, optional=optional)


def _roads_archives() -> tuple[Archive, ...]:
    """About 6.75 MB an image (1500 × 1500 × 3 bytes) and a third of that a map."""
    return tuple(
        Archive(
            f"{_ROADS_URL}/{folder}/{kind}/index.html", suffix, (part,),
            unpack=f"{folder}/{kind}", unpacked=count * size, index=count,
        )
        for part, (folder, count) in _ROADS.items()
        for kind, suffix, size in (("sat", ".tiff", 6_750_000), ("map", ".tif", 2_250_000))
    )  # fmt: skip


def _roads_contents() -> tuple[Content, ...]:
    return tuple(
        Content(part, (f"{folder}/{kind}/*{suffix}", f"{part}/{kind}/*{suffix}"), count)
        for part, (folder, count) in _ROADS.items()
        for kind, suffix in (("sat", ".tiff"), ("map", ".tif"))
    )


BAPPS = DataSetCard(
    name="bapps",
    title="Berkeley-Adobe Perceptual Patch Similarity: 2AFC and JND judgements on 64×64 patches",
    files=(
        "2afc/{train,val}/SPLIT/{ref,p0,p1}/NNNNNN.png",
        "2afc/{train,val}/SPLIT/judge/NNNNNN.npy",
        "jnd/val/SPLIT/{p0,p1}/NNNNNN.png",
        "jnd/val/SPLIT/same/NNNNNN.npy",
    ),
    licence="BSD-2-Clause, stated for the repository it is published with",
    citation="Zhang, Isola, Efros, Shechtman, Wang: The Unreasonable Effectiveness of Deep Features "
    "as a Perceptual Metric, CVPR 2018",
    how_to_get="Run `lossnets data fetch bapps`; or get the archives with scripts/download_dataset.sh of the "
    "repository richzhang/PerceptualSimilarity, unpack them, and give the folder that holds 2afc and jnd.",
    judged_by=JUDGED_BY_PEOPLE,
    use="similarity",
    homepage="https://github.com/richzhang/PerceptualSimilarity",
    archives=(
        Archive(f"{_BAPPS_URL}/twoafc_val.tar.gz", "twoafc_val.tar.gz", ("2afc-val",), unpack="2afc",
                unpacked=1_100_000_000),
        Archive(f"{_BAPPS_URL}/jnd.tar.gz", "jnd.tar.gz", ("jnd",), unpacked=200_000_000),
        Archive(f"{_BAPPS_URL}/twoafc_train.tar.gz", "twoafc_train.tar.gz", ("2afc-train",), unpack="2afc",
                unpacked=5_300_000_000, optional=True),
    ),
    contents=_bapps_contents(),
    size_on_disk=1_300_000_000,
    remark="The part 2afc-train (5.3 GB) is needed for training only. No checksum is published; the number "
    "of files in each folder is checked.",
)  # fmt: skip

COCO2014 = DataSetCard(
    name="coco2014",
    title="COCO 2014: 82,783 training and 40,504 validation photographs of everyday scenes (JPEG)",
    files=("train2014/COCO_train2014_NNNNNNNNNNNN.jpg", "val2014/COCO_val2014_NNNNNNNNNNNN.jpg"),
    licence="images: Flickr's terms and each photographer's licence; annotations (not fetched): CC BY 4.0",
    citation="Lin, Maire, Belongie, Hays, Perona, Ramanan, Dollár, Zitnick: Microsoft COCO: Common Objects "
    "in Context, ECCV 2014",
    how_to_get=_FETCH.format("coco2014"),
    use="super-resolution (training)",
    homepage="https://cocodataset.org",
    archives=(
        Archive("http://images.cocodataset.org/zips/train2014.zip", "train2014.zip", ("train",),
                13_510_573_713, "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                checksum_from=_TFDS, unpacked=13_600_000_000),
        Archive("http://images.cocodataset.org/zips/val2014.zip", "val2014.zip", ("val",),
                6_645_013_297, "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                checksum_from=_TFDS, unpacked=6_700_000_000),
    ),
    contents=(
        Content("train", ("train2014/*.jpg", "images/train2014/*.jpg"), 82_783),
        Content("val", ("val2014/*.jpg", "images/val2014/*.jpg"), 40_504),
    ),
    size_on_disk=20_300_000_000,
    remark="A few images are grey.",
)  # fmt: skip

BSDS300 = DataSetCard(
    name="bsds300",
    title="Berkeley Segmentation Data Set 300: 200 training and 100 test photographs of 481×321 (JPEG)",
    files=("BSDS300/images/{train,test}/ID.jpg",),
    licence="non-commercial research and education",
    citation="Martin, Fowlkes, Tal, Malik: A Database of Human Segmented Natural Images and its Application "
    "to Evaluating Segmentation Algorithms and Measuring Ecological Statistics, ICCV 2001",
    how_to_get=_FETCH.format("bsds300"),
    use="super-resolution (test): its 100 test images are known as BSD100",
    homepage="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/",
    archives=(
        Archive("https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/BSDS300-images.tgz",
                "BSDS300-images.tgz", unpacked=23_000_000),
    ),
    contents=(
        Content("test", ("BSDS300/images/test/*.jpg", "images/test/*.jpg"), 100),
        Content("train", ("BSDS300/images/train/*.jpg", "images/train/*.jpg"), 200),
    ),
    size_on_disk=23_000_000,
    remark="No checksum is published; the number of images is checked.",
)  # fmt: skip

BSDS500 = DataSetCard(
    name="bsds500",
    title="Berkeley Segmentation Data Set 500: 200 training, 100 validation, 200 test photographs (JPEG)",
    files=(
        "BSR/BSDS500/data/images/{train,val,test}/ID.jpg",
        "BSR/BSDS500/data/groundTruth/{train,val,test}/ID.mat",
    ),
    licence="non-commercial research and education",
    citation="Arbelaez, Maire, Fowlkes, Malik: Contour Detection and Hierarchical Image Segmentation, "
    "PAMI 33(5), 2011",
    how_to_get=_FETCH.format("bsds500"),
    use="super-resolution (training, small profile); its val images are BSD100",
    homepage="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
    archives=(
        Archive("https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
                "BSR_bsds500.tgz", (), 70_763_455,
                "97e49d31764f3912f0c4122707d53062ac9e783ba0f095e447a4d53c1a41af8e",
                checksum_from="several projects that pin this archive; the makers publish none",
                unpacked=75_000_000),
    ),
    contents=tuple(
        Content(part, (f"BSR/BSDS500/data/images/{part}/*.jpg", f"BSDS500/data/images/{part}/*.jpg",
                       f"data/images/{part}/*.jpg", f"images/{part}/*.jpg", f"{part}/images/*.jpg"), count)
        for part, count in (("train", 200), ("val", 100), ("test", 200))
    ),
    size_on_disk=75_000_000,
)  # fmt: skip

SET5 = DataSetCard(
    name="set5",
    title="Set5: the 5 test images of super-resolution work",
    files=("Set5_HR/{baby,bird,butterfly,head,woman}.png, or the 5 images in the folder itself",),
    licence="not stated",
    citation="Bevilacqua, Roumy, Guillemot, Alberi-Morel: Low-Complexity Single-Image Super-Resolution Based "
    "on Nonnegative Neighbor Embedding, BMVC 2012",
    how_to_get=_FETCH.format("set5"),
    use="super-resolution (test)",
    homepage="http://people.rennes.inria.fr/Aline.Roumy/results/SR_BMVC12.html",
    archives=(
        Archive("https://huggingface.co/datasets/eugenesiow/Set5/resolve/main/data/Set5_HR.tar.gz",
                "Set5_HR.tar.gz", unpacked=5_000_000),
    ),
    contents=(Content("test", ("Set5_HR/*.png", "Set5/*.png", "Set5/*.bmp", "*.png", "*.bmp"), 5),),
    size_on_disk=5_000_000,
    remark=_MIRROR,
)  # fmt: skip

SET14 = DataSetCard(
    name="set14",
    title="Set14: the 14 test images of super-resolution work",
    files=("Set14_HR/{baboon,barbara,...,zebra}.png, or the 14 images in the folder itself",),
    licence="not stated",
    citation="Zeyde, Elad, Protter: On Single Image Scale-Up Using Sparse-Representations, Curves and "
    "Surfaces 2010",
    how_to_get=_FETCH.format("set14"),
    use="super-resolution (test)",
    homepage="https://sites.google.com/site/romanzeyde/research-interests",
    archives=(
        Archive("https://huggingface.co/datasets/eugenesiow/Set14/resolve/main/data/Set14_HR.tar.gz",
                "Set14_HR.tar.gz", unpacked=15_000_000),
    ),
    contents=(Content("test", ("Set14_HR/*.png", "Set14/*.png", "Set14/*.bmp", "*.png", "*.bmp"), 14),),
    size_on_disk=15_000_000,
    remark=_MIRROR + " One or more of the images are grey.",
)  # fmt: skip

MASSACHUSETTS_ROADS = DataSetCard(
    name="massachusetts-roads",
    title="Massachusetts Roads: 1,108 + 14 + 49 aerial images of 1500×1500 with road masks (TIFF)",
    files=("{train,valid,test}/sat/NNNNNNNN_15.tiff", "{train,valid,test}/map/NNNNNNNN_15.tif"),
    licence="not stated; its maker asks to cite the thesis",
    citation="Mnih: Machine Learning for Aerial Image Labeling, PhD thesis, University of Toronto, 2013",
    how_to_get=_FETCH.format("massachusetts-roads"),
    use="delineation",
    homepage="https://www.cs.toronto.edu/~vmnih/data/",
    archives=_roads_archives(),
    contents=_roads_contents(),
    size_on_disk=10_500_000_000,
    remark="Published as single files behind index pages, without checksums; numbers of files are checked, "
    "and that each is a TIFF of the length that the server tells. The size is worked out from the pixels.",
)

SVHN = DataSetCard(
    name="svhn",
    title="Street View House Numbers, cropped digits of 32×32: 73,257 train, 26,032 test, 531,131 extra",
    files=("{train,test,extra}_32x32.mat",),
    licence="non-commercial use only",
    citation="Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised "
    "Feature Learning, NIPS workshop 2011",
    how_to_get=_FETCH.format("svhn"),
    use="autoencoding",
    homepage=f"{_SVHN_URL}/",
    archives=tuple(
        Archive(f"{_SVHN_URL}/{part}_32x32.mat", f"{part}_32x32.mat", (part,), size, sha256, unpack=None,
                checksum_from=f"{_TFDS} (sha256) and {_TORCHVISION} (md5)", unpacked=size)
        for part, size, sha256 in (
            ("train", 182_040_794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
            ("test", 64_275_384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
            ("extra", 1_329_278_602, "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3"),
        )
    ),
    contents=tuple(
        Content(part, (f"{part}_32x32.mat",), 1, size=size, md5=md5, images=False)
        for part, size, md5 in (
            ("train", 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
            ("extra", 1_329_278_602, "a93ce644f1a588dc4d68dda5feec44a7"),
        )
    ),
    size_on_disk=1_575_594_780,
)  # fmt: skip

STL10 = DataSetCard(
    name="stl10",
    title="STL-10: 96×96 images, 5,000 train and 8,000 test of 10 classes, 100,000 unlabelled",
    files=("stl10_binary/{train,test}_{X,y}.bin", "stl10_binary/unlabeled_X.bin"),
    licence="none stated; the images come from ImageNet: non-commercial research and education",
    citation="Coates, Lee, Ng: An Analysis of Single-Layer Networks in Unsupervised Feature Learning, "
    "AISTATS 2011",
    how_to_get=_FETCH.format("stl10"),
    use="autoencoding",
    homepage="https://cs.stanford.edu/~acoates/stl10/",
    archives=(
        Archive("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz", "stl10_binary.tar.gz", (),
                2_640_397_119, "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
                "91f7769df0f17e558f3565bffb0c7dfb", f"{_TFDS} (sha256) and {_TORCHVISION} (md5)",
                unpacked=3_124_300_000),
    ),
    contents=tuple(
        Content(part, (f"stl10_binary/{file}.bin",), 1, size=size, md5=md5, images=False)
        for part, file, size, md5 in (
            ("train", "train_X", 138_240_000, "918c2871b30a85fa023e0c44e0bee87f"),
            ("train", "train_y", 5_000, "5a34089d4802c674881badbb80307741"),
            ("test", "test_X", 221_184_000, "7f263ba9f9e0b06b93213547f721ac82"),
            ("test", "test_y", 8_000, "36f9794fa4beb8a2c72628de14fa638e"),
            ("unlabeled", "unlabeled_X", 2_764_800_000, "5242ba1fed5e4be9e1e742405eb56ca4"),
        )
    ),
    size_on_disk=3_124_300_000,
)  # fmt: skip

CARDS = (
    BAPPS, COCO2014, BSDS300, BSDS500, SET5, SET14, MASSACHUSETTS_ROADS, SVHN, STL10, *LOCAL_CARDS,
)  # fmt: skip
"""All of them; the published sets first, then what a user brings, then what is made from packages."""

"""Cards of what is not fetched: data that a user brings, and samples made from installed packages."""

from __future__ import annotations

from lossnets.datasets.facts import JUDGED_BY_PEOPLE, JUDGED_BY_SEVERITY, DataSetCard

_YOURS = "yours"
_SAMPLE_LICENCE = "public domain, CC0 and CC BY, as the two packages list them"
_SAMPLE_HOW = "Install lossnets[bench]; the photographs come with scikit-image and scikit-learn."

LOCAL_CARDS = (
    DataSetCard(
        name="triplets-csv",
        title="A CSV file of triplets (reference, a, b) with votes, and a folder of images",
        files=("TABLE.csv or TABLE.csv.gz", "images/..."),
        licence=_YOURS,
        citation="",
        how_to_get="Give a table with the columns ref, a, b, votes_a, votes_b (or state other names) "
        "and the folder that its image names are relative to.",
        judged_by=JUDGED_BY_PEOPLE,
        use="similarity",
    ),
    DataSetCard(
        name="opinions-csv",
        title="A CSV file of (reference, distorted image, opinion score), and a folder of images",
        files=("TABLE.csv or TABLE.csv.gz", "images/..."),
        licence=_YOURS,
        citation="",
        how_to_get="Give a table with the columns ref, dist, mos (other names can be stated), the folder "
        "that its image names are relative to, and whether a higher score is better.",
        judged_by=JUDGED_BY_PEOPLE,
        use="similarity",
    ),
    DataSetCard(
        name="image-folder",
        title="A folder of images, or a part of it that a text file names",
        files=("IMAGE.{png,jpg,bmp,tif,webp,...}",),
        licence=_YOURS,
        citation="",
        how_to_get="Give the folder; with names= a list or a text file of the images to take.",
        use="super-resolution, autoencoding, image-prior, inversion",
    ),
    DataSetCard(
        name="labelled-folder",
        title="Images with classes: a sub-folder for each class, or a table of file, class, split",
        files=("CLASS/IMAGE or SPLIT/CLASS/IMAGE, or labels.csv and the images it names",),
        licence=_YOURS,
        citation="",
        how_to_get="Give the folder, and csv= where the table is not labels.csv in it.",
        use="autoencoding",
    ),
    DataSetCard(
        name="masks-folder",
        title="Images with a mask for each: two folders with the same file names, endings aside",
        files=("images/NAME.*", "masks/NAME.*", "tiles.csv with the columns file, split (not required)"),
        licence=_YOURS,
        citation="",
        how_to_get="Give the folder that holds images/ and masks/ (or sat/ and map/), or both folders.",
        use="delineation",
    ),
    DataSetCard(
        name="sample",
        title="Photographs shipped with scikit-image and scikit-learn, distorted at known severities",
        files=(),
        licence=_SAMPLE_LICENCE,
        citation="",
        how_to_get=_SAMPLE_HOW,
        judged_by=JUDGED_BY_SEVERITY,
        use="similarity (without data)",
    ),
    DataSetCard(
        name="sample-photographs",
        title="Crops of the photographs shipped with scikit-image and scikit-learn",
        files=(),
        licence=_SAMPLE_LICENCE,
        citation="",
        how_to_get=_SAMPLE_HOW,
        use="super-resolution, image-prior, inversion (without data)",
    ),
    DataSetCard(
        name="sample-roads",
        title="GENERATED road scenes: drawn roads over textures of real photographs, with exact masks",
        files=(),
        licence=_SAMPLE_LICENCE,
        citation="",
        how_to_get=_SAMPLE_HOW,
        use="delineation (without data)",
        remark="Generated: it shows that things run, not how good a loss is on real roads.",
    ),
    DataSetCard(
        name="sample-digits",
        title="1,797 real handwritten digits of 8×8 with labels, shipped with scikit-learn",
        files=(),
        licence="CC BY 4.0, as the UCI repository states it",
        citation="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning "
        "Repository, 1998",
        how_to_get="Install lossnets[bench]; the digits come with scikit-learn.",
        use="autoencoding (without data)",
    ),
)

"""One card per data set: what it is, where it comes from, its licence, how to get it."""

from __future__ import annotations

from dataclasses import dataclass

from lossnets.errors import unknown_name


@dataclass(frozen=True)
class DataSetCard:
    """Facts about a data set.

    Attributes:
        name: key in plans and results.
        title: one line for people.
        files: what has to be on disk, relative to the folder that is given.
        licence: terms as its makers state them.
        citation: whom to cite; empty where there is nobody.
        how_to_get: one or two sentences, also shown when the data are missing.
        judged_by: "people" or "severity" (known strength of a distortion).
    """

    name: str
    title: str
    files: tuple[str, ...]
    licence: str
    citation: str
    how_to_get: str
    judged_by: str = "people"


_CARDS = {
    card.name: card
    for card in (
        DataSetCard(
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
            how_to_get="Get the archives with scripts/download_dataset.sh of the repository "
            "richzhang/PerceptualSimilarity, unpack them, and give the folder that holds 2afc and jnd.",
        ),
        DataSetCard(
            name="triplets-csv",
            title="A CSV file of triplets (reference, a, b) with votes, and a folder of images",
            files=("TABLE.csv or TABLE.csv.gz", "images/..."),
            licence="yours",
            citation="",
            how_to_get="Give a table with the columns ref, a, b, votes_a, votes_b (or state other names) "
            "and the folder that its image names are relative to.",
        ),
        DataSetCard(
            name="opinions-csv",
            title="A CSV file of (reference, distorted image, opinion score), and a folder of images",
            files=("TABLE.csv or TABLE.csv.gz", "images/..."),
            licence="yours",
            citation="",
            how_to_get="Give a table with the columns ref, dist, mos (other names can be stated), the folder "
            "that its image names are relative to, and whether a higher score is better.",
        ),
        DataSetCard(
            name="sample",
            title="Photographs shipped with scikit-image and scikit-learn, distorted at known severities",
            files=(),
            licence="public domain, CC0 and CC BY, as the two packages list them",
            citation="",
            how_to_get="Install lossnets[bench]; the photographs come with scikit-image and scikit-learn.",
            judged_by="severity",
        ),
    )
}


def card(name: str) -> DataSetCard:
    """The card of a data set.

    Raises:
        UnknownNameError: there is no such card.

    >>> card("bapps").judged_by
    'people'
    """
    if name not in _CARDS:
        raise unknown_name("data set", name, _CARDS)
    return _CARDS[name]


def cards() -> tuple[DataSetCard, ...]:
    """All cards, in a fixed order."""
    return tuple(_CARDS.values())

"""Data sets: one card each, and readers that yield uniform, deterministic objects."""

from lossnets.datasets.bapps import read_bapps_2afc, read_bapps_jnd
from lossnets.datasets.catalogue import DataSetCard, card, cards
from lossnets.datasets.samples import SAMPLE_SIZES, SAMPLE_SPLITS, read_sample
from lossnets.datasets.similarity import (
    HUMAN,
    SEVERITY,
    JNDSet,
    Opinion,
    OpinionSet,
    SamePair,
    Triplet,
    TwoAFCSet,
)
from lossnets.datasets.tables import read_opinions_csv, read_triplets_csv

__all__ = [
    "HUMAN",
    "SAMPLE_SIZES",
    "SAMPLE_SPLITS",
    "SEVERITY",
    "DataSetCard",
    "JNDSet",
    "Opinion",
    "OpinionSet",
    "SamePair",
    "Triplet",
    "TwoAFCSet",
    "card",
    "cards",
    "read_bapps_2afc",
    "read_bapps_jnd",
    "read_opinions_csv",
    "read_sample",
    "read_triplets_csv",
]

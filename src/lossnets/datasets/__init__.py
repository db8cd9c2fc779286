"""Data sets: one card each, ways to get them, and readers that yield uniform, deterministic objects."""

from lossnets.datasets.bapps import read_bapps_2afc, read_bapps_jnd
from lossnets.datasets.catalogue import Archive, Content, DataSetCard, card, cards, part_folder
from lossnets.datasets.fetch import fetch
from lossnets.datasets.folders import (
    Labelled,
    Masked,
    class_names,
    fingerprint,
    image_folder,
    labelled_folder,
    masked_folder,
    read_mask,
)
from lossnets.datasets.places import Status, data_home, data_places, find, locate, status
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
from lossnets.datasets.unpack import unpack
from lossnets.datasets.verify import Finding, Report, verify

__all__ = [
    "HUMAN",
    "SAMPLE_SIZES",
    "SAMPLE_SPLITS",
    "SEVERITY",
    "Archive",
    "Content",
    "DataSetCard",
    "Finding",
    "JNDSet",
    "Labelled",
    "Masked",
    "Opinion",
    "OpinionSet",
    "Report",
    "SamePair",
    "Status",
    "Triplet",
    "TwoAFCSet",
    "card",
    "cards",
    "class_names",
    "data_home",
    "data_places",
    "fetch",
    "find",
    "fingerprint",
    "image_folder",
    "labelled_folder",
    "locate",
    "masked_folder",
    "part_folder",
    "read_bapps_2afc",
    "read_bapps_jnd",
    "read_mask",
    "read_opinions_csv",
    "read_sample",
    "read_triplets_csv",
    "status",
    "unpack",
    "verify",
]

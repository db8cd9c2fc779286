"""The kinds of data that the autoencoding benchmark takes, each registered under a name of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lossnets.benchmarks.autoencoding.benchmark import Autoencoding
from lossnets.benchmarks.autoencoding.data import Corpus
from lossnets.benchmarks.autoencoding.readers import (
    TEST_SHARE,
    read_digits,
    read_folder,
    read_stl10,
    read_svhn,
    stl10_fingerprint,
    svhn_fingerprint,
)
from lossnets.benchmarks.base import register_benchmark
from lossnets.home import user_path


@register_benchmark
class AutoencodingSample(Autoencoding):
    """Autoencoding of the packaged digits, 64×64: autoencoder and predictors learn from the same images."""

    name = "autoencoding-sample"
    data = "sample-digits"
    profiles = ("small", "smoke")

    def read(self) -> Corpus:
        """See `read_digits`."""
        return read_digits()


@register_benchmark
class AutoencodingFolders(Autoencoding):
    """Autoencoding of a folder of labelled images of one size.

    Args:
        root: folder with ``labels.csv``, or with a sub-folder for each class.
        csv: another table of file names, classes and, perhaps, splits.
        autoencoder: folder of images without classes that the autoencoder learns from; None: the
            training images.
        test_share: of images that become the test set where the data have no splits.
        **settings: see `Autoencoding`.
    """

    name = "autoencoding-folders"
    data = "labelled-folder"

    def __init__(
        self,
        root: Path,
        csv: Path | None = None,
        autoencoder: Path | None = None,
        *,
        test_share: float = TEST_SHARE,
        gamma: float = 0.0,
        scheme: str = "I-I",
        z: int = 64,
        precision: str = "32",
    ) -> None:
        super().__init__(gamma, scheme, z, precision)
        self._root, self._test_share = user_path(root, "root"), test_share
        self._csv = None if csv is None else user_path(csv, "csv")
        self._autoencoder = None if autoencoder is None else user_path(autoencoder, "autoencoder")

    @property
    def data_name(self) -> str:
        """Name of the folder, for people."""
        return self._root.name

    def read(self) -> Corpus:
        """See `read_folder`."""
        return read_folder(self._root, self._csv, self._autoencoder, self._test_share)


class _Torchvision(Autoencoding):
    """A data set of torchvision, in a folder or found through the catalogue."""

    reader: ClassVar[Any]
    fingerprinter: ClassVar[Any]

    def __init__(
        self,
        root: Path | None = None,
        *,
        gamma: float = 0.0,
        scheme: str = "I-I",
        z: int = 64,
        precision: str = "32",
    ) -> None:
        super().__init__(gamma, scheme, z, precision)
        self._root = None if root is None else user_path(root, "root")

    def read(self) -> Corpus:
        """Read all three splits."""
        corpus: Corpus = type(self).reader(self._root)
        return corpus

    def data_fingerprint(self) -> str:
        """sha256 over names and contents of the files; no image is decoded for it."""
        return str(type(self).fingerprinter(self._root))


@register_benchmark
class AutoencodingSTL10(_Torchvision):
    """Autoencoding of STL-10, 96×96: autoencoder unlabeled, predictors train, test test."""

    name = "autoencoding-stl10"
    needs = ("stl10",)
    data = "stl10"
    published = (100_000, 96)
    reader = staticmethod(read_stl10)
    fingerprinter = staticmethod(stl10_fingerprint)


@register_benchmark
class AutoencodingSVHN(_Torchvision):
    """Autoencoding of SVHN, 32×32 padded to 64×64: autoencoder extra, predictors train, test test."""

    name = "autoencoding-svhn"
    needs = ("svhn",)
    data = "svhn"
    published = (531_131, 64)
    reader = staticmethod(read_svhn)
    fingerprinter = staticmethod(svhn_fingerprint)

"""Named arrays as one compressed block of bytes, and back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossnets.errors import ConfigError, StoreError


def pack(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Named arrays -> bytes of a compressed .npz; numbers and text only, never a pickle.

    Raises:
        ConfigError: an array holds Python objects.

    >>> unpack(pack({"d0": [0.5, 0.25]}))["d0"].tolist()
    [0.5, 0.25]
    """
    plain = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in plain.items():
        if values.dtype.hasobject:
            raise ConfigError(f"per-item values {name!r} must be numbers or text; got dtype {values.dtype}")
    buffer = io.BytesIO()
    # not np.savez(**arrays): its own parameter names would be forbidden as names of arrays
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in plain.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)
    return buffer.getvalue()


def unpack(blob: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """The inverse of `pack`.

    Raises:
        StoreError: the bytes are damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            return {
                name.removesuffix(".npy"): np.lib.format.read_array(archive.open(name), allow_pickle=False)
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise StoreError(f"the stored per-item values are damaged: {error}") from error

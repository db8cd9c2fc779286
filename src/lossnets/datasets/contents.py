"""What stands for a file in a fingerprint of data: its content."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lossnets.errors import DataError
from lossnets.file_hash import content_hash

_MANY = 64
"""From so many files on they are read side by side."""

_SIZES = {
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5": "791555",  # astronaut.png
    "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb": "240512",  # chelsea.png
    "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7": "466706",  # coffee.png
    "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4": "527940",  # hubble_deep_field.jpg
    "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179": "644701",  # motorcycle_left.png
    "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c": "112525",  # rocket.jpg
    "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29": "196653",  # china.jpg
    "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638": "142987",  # flower.jpg
    "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89": "217893",  # grass.png
    "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12": "194247",  # gravel.png
    "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf": "106634",  # brick.png
}
"""SHA-256 of the packaged photographs -> what stands for them: their size, which is theirs alone of these.

Results that are shipped, and those that users have, bear fingerprints that were made so. A photograph with
other content than these is another one, whatever its size.
"""


def contents(paths: Iterable[Path]) -> list[str]:
    """What stands for each file: the SHA-256 of its content (for the packaged photographs, their size).

    Raises:
        DataError: a file is missing or cannot be read.
    """
    files = list(paths)
    try:
        if len(files) < _MANY:
            return [_content(file) for file in files]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(_content, files))
    except FileNotFoundError as error:
        raise DataError(f"file {error.filename!r} went missing while it was in use.") from error
    except OSError as error:
        raise DataError(
            f"file {error.filename!r} cannot be read ({error.strerror}); make it readable, or leave it out."
        ) from error


def _content(path: Path) -> str:
    digest = content_hash(path)
    return _SIZES.get(digest, digest)

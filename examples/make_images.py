"""Write a few photographs and damaged copies of them, to try the commands on.

    python examples/make_images.py pictures

makes pictures/original/*.png, compressed/, blurred/ and moved/: photographs that scikit-image and
scikit-learn ship, and the same after strong JPEG compression, blurred, and moved by 2 pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lossnets
from lossnets.datasets.samples import PHOTOGRAPHS, photograph_path
from lossnets.images.degradations import degrade


def main(folder: Path) -> None:
    for package, file in PHOTOGRAPHS[:3]:
        source = photograph_path(package, file)
        image = lossnets.read_image(source)
        pictures = {"original": image}
        for kind, name, severity in (
            ("compressed", "jpeg", 5),
            ("blurred", "gaussian_blur", 3),
            ("moved", "shift", 2),
        ):
            pictures[kind] = degrade(image[None], name, severity)[0]
        for kind, picture in pictures.items():
            path = folder / kind / source.with_suffix(".png").name
            path.parent.mkdir(parents=True, exist_ok=True)
            lossnets.write_image(path, picture)
            print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))

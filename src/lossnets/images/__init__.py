"""What an image is: the tensor contract, files, degradations, quality."""

from lossnets.images.contract import DataRange, RangeWarning
from lossnets.images.files import list_images, pair_folders, read_image, write_image

__all__ = ["DataRange", "RangeWarning", "list_images", "pair_folders", "read_image", "write_image"]

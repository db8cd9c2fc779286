"""What an image is: the tensor contract, files, degradations, quality."""

from lossnets.images.contract import DataRange, RangeWarning
from lossnets.images.files import image_size, read_image, write_image
from lossnets.images.folders import list_images, pair_folders, scan_folder

__all__ = [
    "DataRange",
    "RangeWarning",
    "image_size",
    "list_images",
    "pair_folders",
    "read_image",
    "scan_folder",
    "write_image",
]

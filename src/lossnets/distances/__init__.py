"""Two feature maps -> one number per image: (N, C, H, W), (N, C, H, W) -> (N,)."""

from lossnets.distances.compare import gram_distance, mean_distance, sort_distance, spatial_distance
from lossnets.distances.distance import Distance, parse_distance
from lossnets.distances.normalise import unit_normalise

__all__ = [
    "Distance",
    "gram_distance",
    "mean_distance",
    "parse_distance",
    "sort_distance",
    "spatial_distance",
    "unit_normalise",
]

"""A target's features, kept: computed once, compared with many images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from lossnets.errors import EncodingError

Embedding = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class EncodedTarget:
    """What a loss keeps of a target batch; made by ``loss.encode(target)``, taken in its place.

    Attributes:
        signature: of the loss that made it; no other loss accepts it.
        state: version counters of the loss's tensors when it was made; once they change it is stale.
        shape: (N, C, H, W) of the target.
        embeddings: per tap, what the distance needs of the features.
        raw: whether spatial embeddings are features as they are (half precision), not yet normalised.
    """

    signature: str
    state: tuple[object, ...]
    shape: tuple[int, int, int, int]
    embeddings: tuple[Embedding, ...]
    raw: bool

    def __len__(self) -> int:
        """Number of images."""
        return self.shape[0]

    def __getitem__(self, index: slice) -> EncodedTarget:
        """Some of the images: ``encoded[2:6]``."""
        if not isinstance(index, slice):
            raise EncodingError(
                f"an encoded target is cut with slices, e.g. encoded[0:4]; got {type(index).__name__}"
            )
        chosen = range(*index.indices(self.shape[0]))
        if index.step not in (None, 1) or not chosen:
            raise EncodingError(
                f"a part of an encoded target must be some images in a row, of 0:{len(self)}; got "
                f"{index.start}:{index.stop}:{index.step}. Encode other choices on their own"
            )
        copies = self.embeddings[0][0].shape[0] // self.shape[0]  # per-channel losses have C images for one
        cut = slice(chosen.start * copies, chosen.stop * copies)
        return replace(self._map(lambda t: t[cut]), shape=(len(chosen), *self.shape[1:]))

    def to(self, device: str) -> EncodedTarget:
        """The same on another device, for caches that live in host memory."""
        return self._map(lambda t: t.to(device))

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        return sum(t.numel() * t.element_size() for e in self.embeddings for t in e)

    def _map(self, function: Callable[[Tensor], Tensor]) -> EncodedTarget:
        return replace(self, embeddings=tuple(tuple(function(t) for t in e) for e in self.embeddings))

"""A target's features, kept: computed once, compared with many images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossnets.errors import EncodingError

Embedding = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class EncodedTarget:
    """What a loss keeps of a target batch; made by ``loss.encode(target)``, taken in its place.

    Attributes:
        signature: of the loss that made it; no other loss accepts it.
        state: hash of the weights that made it; a loss with other weights refuses it, an equal one takes it.
        shape: (N, C, H, W) of the target.
        embeddings: per tap, what the distance needs of the features.
        raw: whether spatial embeddings are features as they are (half precision), not yet normalised.
    """

    signature: str
    state: str
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
                f"{index.start}:{index.stop}:{index.step}. For any other choice: encoded.select([3, 0])"
            )
        cut = slice(chosen.start * self._copies, chosen.stop * self._copies)
        return replace(self._map(lambda t: t[cut]), shape=(len(chosen), *self.shape[1:]))

    @property
    def _copies(self) -> int:
        """Rows of an embedding that belong to one image: per-channel losses have C of them."""
        return self.embeddings[0][0].shape[0] // self.shape[0]

    def select(self, indices: Sequence[int] | Tensor) -> EncodedTarget:
        """The images of these indices, in this order: a batch of a data set that was encoded once.

        Raises:
            EncodingError: there is no index, or one is out of range.
        """
        chosen = torch.as_tensor(indices, dtype=torch.long).reshape(-1).cpu()
        if not len(chosen) or int(chosen.min()) < 0 or int(chosen.max()) >= len(self):
            raise EncodingError(
                f"indices must be one or more of 0..{len(self) - 1}; got {chosen.tolist()[:8]}"
            )
        rows = (chosen[:, None] * self._copies + torch.arange(self._copies)).flatten()
        rows = rows.to(self.embeddings[0][0].device)
        return replace(self._map(lambda t: t.index_select(0, rows)), shape=(len(chosen), *self.shape[1:]))

    @classmethod
    def concatenate(cls, parts: Sequence[EncodedTarget]) -> EncodedTarget:
        """Several encoded batches of one loss and one image size as one.

        Raises:
            EncodingError: there are none, or they differ in loss, state or image size.
        """
        if not parts:
            raise EncodingError("parts must have at least one encoded target; got none")
        first = parts[0]
        for part in parts:
            if (part.signature, part.state, part.shape[1:], part.raw) != (
                first.signature,
                first.state,
                first.shape[1:],
                first.raw,
            ):
                raise EncodingError(
                    "encoded targets that are put together must come from one loss and have one image size; "
                    f"got {first.signature} of {first.shape[1:]} and {part.signature} of {part.shape[1:]}"
                )
        embeddings = tuple(
            tuple(torch.cat(tensors) for tensors in zip(*taps, strict=True))
            for taps in zip(*(part.embeddings for part in parts), strict=True)
        )
        count = sum(len(part) for part in parts)
        return replace(first, embeddings=embeddings, shape=(count, *first.shape[1:]))

    def to(self, device: str | int | torch.device) -> EncodedTarget:
        """The same on another device, for caches that live in host memory.

        Raises:
            EncodingError: it is no device; a change of type would round what is kept.
        """
        if not isinstance(device, (str, int, torch.device)):
            raise EncodingError(
                f"an encoded target is moved to a device, e.g. encoded.to('cuda'); got {device!r}. It stays "
                "in the type that it was encoded in"
            )
        return self._map(lambda t: t.to(device))

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        return sum(t.numel() * t.element_size() for e in self.embeddings for t in e)

    def _map(self, function: Callable[[Tensor], Tensor]) -> EncodedTarget:
        return replace(self, embeddings=tuple(tuple(function(t) for t in e) for e in self.embeddings))


torch.serialization.add_safe_globals([EncodedTarget])  # so that torch.load reads it without running code

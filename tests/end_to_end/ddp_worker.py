"""One of two processes that train a module with a loss in it; started by test_compile_export.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lossnets.losses import load_loss


class Host(nn.Module):
    """A model with its loss inside, as many training codes have it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.loss = load_loss("squeezenet1_1/features.1:lpips:weights=random-0")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of what the layer makes of x."""
        return self.loss(torch.sigmoid(self.layer(x)), y)  # type: ignore[no-any-return]


def main(rank: int, folder: str) -> None:
    """Train for a few steps and save what this process has in the end."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.manual_seed(rank)  # unlike start, unlike images: only DDP can make the two agree
    model = DistributedDataParallel(Host())
    buffers = [name for name, _ in model.named_buffers()]
    assert buffers == [], f"buffers to broadcast: {buffers}"
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x, y = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    values = []
    for _ in range(8):
        optimizer.zero_grad()
        value = model(x, y)
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    torch.save({"state": model.module.state_dict(), "values": values}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

"""The Lightning side of a training; imported only when something is trained."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lossnets.errors import require
from lossnets.gradients.network import GradientNetwork
from lossnets.gradients.training.autoencoders import make_autoencoders
from lossnets.gradients.training.clipping import RunningClip
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.data import Crops, Steps
from lossnets.gradients.training.objective import Objective, Predicted, cosines, log_ratios
from lossnets.gradients.training.progress import DivergedError, TrainingProgress
from lossnets.gradients.training.randomness import derived_seed
from lossnets.gradients.training.replay import Samples
from lossnets.gradients.training.schedule import learning_rate
from lossnets.gradients.training.sources import Sources
from lossnets.gradients.training.state import read_state, write_state
from lossnets.losses.base import ImageLoss
from lossnets.processes import loader_context
from lossnets.torchvision_compat import ensure_torchvision

ensure_torchvision()  # Lightning imports torchmetrics, which imports torchvision
pl: Any = require("lightning.pytorch", "bench", "training of gradient networks")


class GradientTraining(pl.LightningModule):  # type: ignore[misc]
    """A gradient network, the autoencoders beside it, and their optimisers.

    With several processes all have the same network and the same autoencoders (published: autoencoders of
    their own), but fits and replayed samples of their own.

    An "epoch" of Lightning is the steps between two rows of the log; checkpoints are made at its end. Step k
    has crops, randomness and learning rate of its own, whatever happened before.

    Args:
        network: to train, in place.
        loss: to imitate.
        config: of the training.
        crops: of one process; batch k belongs to step k (with several processes: to one of them).
        folder: of the training's files.
        workers: processes that load images.
    """

    def __init__(
        self,
        network: GradientNetwork,
        loss: ImageLoss,
        config: PGNConfig,
        crops: Crops,
        folder: Path,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.autoencoders = make_autoencoders(config)
        self.config = config
        self._hidden = (loss,)  # in a tuple: not part of the state
        self._crops, self._folder, self._workers = crops, folder, workers
        self._clip = RunningClip(config.clip_factor, config.clip_start, config.clip_momentum)
        self._objective = Objective(network, loss, config)
        self._sources: Sources | None = None
        self._loaded: dict[str, Any] = {}
        self._own: dict[str, Any] | None = None
        self._sums: dict[str, Tensor] = {}
        self._counted, self._samples, self._since = 0, 0, 0.0
        self.last: Predicted | None = None

    @property
    def sources(self) -> Sources:
        """Where x̂ come from."""
        assert self._sources is not None  # noqa: S101 - made when the training starts
        return self._sources

    @property
    def finished(self) -> int:
        """Steps that are over when the current epoch is."""
        return min((int(self.current_epoch) + 1) * self.config.log_every, self.config.steps)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One of the network, one of each autoencoder."""
        trained = self._groups()
        own: torch.optim.Optimizer
        if self.config.optimiser == "sgd":
            own = torch.optim.SGD(trained, lr=self.config.lr)
        else:
            own = torch.optim.Adam(trained, lr=self.config.lr)
        rate = self.config.autoencoder_lr
        return [own, *(torch.optim.Adam(net.parameters(), lr=rate) for net in self.autoencoders)]

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters of the network with their share of the rate."""
        named = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        factor = self.config.channel_lr
        if factor == 1:
            return [{"params": [p for _, p in named], "factor": 1.0}]
        channel = [name.startswith("log_weights") for name, _ in named]
        groups = [
            {"params": [p for (_, p), c in zip(named, channel, strict=True) if c == which], "factor": share}
            for which, share in ((False, 1.0), (True, factor))
        ]
        return [group for group in groups if group["params"]]

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Crops of the epoch that is about to begin; made anew for each."""
        start = self.current_epoch * self.config.log_every
        stop = min(start + self.config.log_every, self.config.steps)
        steps = Steps(start, stop, self.global_rank, self.trainer.world_size)
        context = loader_context(self._workers)
        return DataLoader(
            self._crops,
            sampler=steps,
            batch_size=None,
            num_workers=self._workers,
            multiprocessing_context=context,
        )

    def on_fit_start(self) -> None:
        """Loss to the device; sources, as they were where a training is resumed."""
        loss = self._hidden[0].to(self.device)
        self._sources = Sources(
            self.config, self.autoencoders, self.network, loss, self.global_rank, self.device
        )
        if self._loaded:
            self._clip.average = self._loaded["average"]
            self._sources.load_shared(self._loaded)
        if self._own is not None:
            self._sources.load_own(self._own)
        self._loaded, self._own = {}, None

    def on_train_epoch_start(self) -> None:
        """Forget the sums of the epoch before."""
        self._sums, self._counted, self._samples = {}, 0, 0
        self._since = time.perf_counter()

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step of the network, of all autoencoders and of one population of fits."""
        step = self.current_epoch * self.config.log_every + batch_idx
        torch.manual_seed(derived_seed(self.config.seed, "step", step, self.global_rank))
        parts = self.sources.parts(batch.float() / 255, step)
        fresh = self.sources.samples(parts)
        samples = self.sources.with_replayed(fresh, step)
        predicted = self._objective.predict(samples, [(len(p.target), p.encoded) for p in parts])
        total, terms = self._objective(predicted)
        count = len(fresh.value)
        directions = self.sources.directions(parts, predicted.gradient[:count].detach(), fresh.gradient, step)
        whole = total
        for part, direction in zip(parts, directions, strict=True):
            if part.source >= 0:  # one backward pass for all that is shared between processes
                whole = whole + (part.images * direction.to(part.images.dtype)).sum() / len(part.target)
        self._check(total, step)
        self._optimise(whole, step)
        self.sources.move_fits(parts, directions)
        self._reset(parts, step)
        self._count({"meta_loss": total.detach(), **terms}, predicted, fresh)
        self.last = predicted

    def _check(self, total: Tensor, step: int) -> None:
        if self.device.type == "cpu" and not math.isfinite(float(total.detach())):
            raise _diverged(step)

    def _optimise(self, whole: Tensor, step: int) -> None:
        optimisers: Any = self.optimizers()
        optimisers = optimisers if isinstance(optimisers, list) else [optimisers]
        for optimiser in optimisers:
            optimiser.zero_grad()
        self.manual_backward(whole)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self._clip(trained)
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(trained, self.config.clip_norm)
        for net, plateau in zip(self.autoencoders, self.sources.plateaus, strict=True):
            plateau.clip(net.parameters())
        for group in optimisers[0].param_groups:
            group["lr"] = learning_rate(self.config, step) * group.get("factor", 1.0)
        for optimiser in optimisers:
            optimiser.step()

    def _reset(self, parts: list[Any], step: int) -> None:
        for part in parts:
            if part.source < 0:
                continue
            difference = (part.images.detach().float() - part.target) / self.network.std
            l1 = difference.abs().mean()
            if self.trainer.world_size > 1:  # all processes must decide alike
                l1 = self.all_gather(l1).mean()
            plateau = self.sources.plateaus[part.source]
            if plateau.due(float(l1), len(part.target) * self.trainer.world_size, step):
                plateau.start(self.autoencoders[part.source])

    @torch.no_grad()
    def _count(self, terms: dict[str, Tensor], predicted: Predicted, fresh: Samples) -> None:
        """Add the figures of a step to the sums, without waiting for the device."""
        count = len(fresh.value)
        ours, true = predicted.gradient[:count].detach(), fresh.gradient
        figures = {**terms, "cosine": cosines(ours, true).mean()}
        figures["log_norm_ratio"] = log_ratios(ours, true).mean()
        figures["true_loss"] = fresh.value.mean()
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.float()
        self._counted += 1
        self._samples += len(predicted.images)

    def progress(self) -> TrainingProgress:
        """Means over the epoch.

        Raises:
            DivergedError: the meta-loss was not finite.
        """
        means = {name: float(value) / max(1, self._counted) for name, value in self._sums.items()}
        if not math.isfinite(means.get("meta_loss", 0.0)):
            raise _diverged(self.finished - 1)
        seconds = max(time.perf_counter() - self._since, 1e-9)
        known = {name: means.pop(name) for name in ("meta_loss", "cosine", "true_loss")}
        return TrainingProgress(
            step=self.finished,
            steps=self.config.steps,
            norm_ratio=math.exp(means.pop("log_norm_ratio")),
            samples_per_second=self._samples * self.trainer.world_size / seconds,
            samples=self._samples * self.trainer.world_size,
            seconds=round(seconds, 3),
            remaining=(self.config.steps - self.finished) * seconds / max(1, self._counted),
            terms=means,
            **known,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the state of a module does not have."""
        checkpoint["lossnets"] = {
            "finished": self.finished,
            "average": self._clip.average,
            **self.sources.shared_state(),
            "own": self.sources.own_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep it until the sources are made; other processes than the first have files of their own."""
        self._loaded = checkpoint["lossnets"]
        self._own = self._loaded["own"]
        if self.global_rank > 0:
            self._own = read_state(own_path(self._folder, self.global_rank, self._loaded["finished"]))

    def save_own(self) -> None:
        """Write what this process has for itself, beside the common checkpoint that comes next."""
        write_state(own_path(self._folder, self.global_rank, self.finished), self.sources.own_state())

    def remove_older_own(self) -> None:
        """Remove such files of earlier checkpoints."""
        newest = own_path(self._folder, self.global_rank, self.finished)
        for path in self._folder.glob(f"rank-{self.global_rank}-step-*.safetensors"):
            if path != newest:
                path.unlink(missing_ok=True)


def own_path(folder: Path, rank: int, finished: int) -> Path:
    """File of what process ``rank`` had for itself after so many steps."""
    return folder / f"rank-{rank}-step-{finished}.safetensors"


def _diverged(step: int) -> DivergedError:
    return DivergedError(f"the training diverged: its meta-loss was not finite at step {step + 1}")

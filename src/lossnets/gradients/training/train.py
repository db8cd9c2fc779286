"""Train a gradient network for a loss on a folder of images: the front door."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, DataError
from lossnets.gradients.checkpoint import Card, save_pgn
from lossnets.gradients.training.build import initial_network
from lossnets.gradients.training.checks import differences
from lossnets.gradients.training.config import NOT_THE_TRAJECTORY, PGNConfig
from lossnets.gradients.training.data import Pictures, find_pictures, held_out_crops
from lossnets.gradients.training.fidelity import short_fidelity
from lossnets.gradients.training.profiles import profile
from lossnets.gradients.training.progress import DivergedError, Report
from lossnets.gradients.training.run import LAST, LOG, Job, check_device, run
from lossnets.gradients.training.truth import training_loss
from lossnets.home import atomic_write, make_folder
from lossnets.losses.base import ImageLoss
from lossnets.processes import undisturbed
from lossnets.torch_state import standard_state

RECORD = "run.json"
LAST_GOOD = "last-good.safetensors"
_SCALE_CROPS = 8


@undisturbed()
@standard_state()
def train_pgn(
    loss: str | ImageLoss,
    images: str | Path,
    out: str | Path,
    config: PGNConfig | None = None,
    *,
    resume: bool = True,
    progress: Report | None = None,
    device: str = "cpu",
    devices: int = 1,
    loaders: int = 0,
) -> Path:
    """Train a gradient network that imitates a loss, and write it as one checkpoint with its card.

    Everything on the way (last state, log, panels) is kept in the folder ``OUT.run`` beside it. A training
    that was interrupted, killed even, goes on from there when it is called again with the same arguments,
    and comes to the same network.

    Args:
        loss: to imitate: a name, or a loss in [0, 1] colour images.
        images: folder of pictures, searched with its subfolders.
        out: file to write, ending in ``.safetensors``.
        config: settings; None: the profile ``small``.
        resume: go on where a training into this file was interrupted; False: begin anew, and replace it.
        progress: called after every row of the log.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        devices: how many devices of this kind, each with a batch of its own (DDP).
        loaders: processes that load images, for each device.

    Returns:
        ``out``.

    Raises:
        UnknownNameError: there is no such loss.
        ConfigError: settings that do not fit, a device that is not here, or a training into this file
            with other settings.
        DataError: no usable image; a damaged checkpoint; a training that diverged (DivergedError); images
            that changed meanwhile.
        MissingExtraError: Lightning is not installed.
    """
    config = profile("small") if config is None else config
    if not isinstance(config, PGNConfig):
        raise ConfigError(f"config must be a PGNConfig, e.g. profile('small'); got {type(config).__name__}")
    out = Path(out)
    check_device(device, devices)
    if isinstance(loaders, bool) or not isinstance(loaders, int) or loaders < 0:
        raise ConfigError(f"loaders must be a whole number of processes, 0 or more; got {loaders!r}")
    if out.suffix != ".safetensors" or out.is_dir():
        raise ConfigError(f"out must be a file that ends in .safetensors; got {str(out)!r}")
    imitated = training_loss(loss)
    folder = out.with_name(f"{out.name}.run")
    pictures = find_pictures(images, config.crop, config.held_out, leave_out=folder)
    data = pictures.card(config.crop)
    network = initial_network(imitated, config, _crops(pictures, config))
    record = {
        "loss": imitated.signature(), "config": config.as_dict(), "data": data["sha256"],
        "images": pictures.identity(), "devices": devices,
    }  # fmt: skip
    _open_folder(folder, out, record, resume)
    job = Job(network, imitated, config, pictures.train, folder, device, devices, loaders)
    training = {"config": config.as_dict(), "seed": config.seed, "machine": _machine(device, devices)}
    finish = _Finish(job, pictures, {"data": data, "training": training})
    try:
        run(job, progress)
    except DataError as error:
        kept = finish.keep_last_good(error)
        if kept is None:
            raise
        raise type(error)(f"{error}. {kept}") from error
    if not _still_there(pictures, record["images"]):
        (folder / LAST).unlink(missing_ok=True)
        raise DataError(
            f"images of {str(pictures.folder)!r} changed while a network was trained on them; what it learnt "
            "belongs to neither, and its last state was removed. Leave them as they are, and train again"
        )
    return finish.write(out)


def _still_there(pictures: Pictures, identity: str) -> bool:
    """Whether the images are those that the training began with, none missing."""
    try:
        return pictures.identity() == identity
    except DataError:
        return False


def _open_folder(folder: Path, out: Path, record: dict[str, Any], resume: bool) -> None:
    """Make the folder of a training, or check that the one there is of this training.

    Raises:
        ConfigError: it is of another training, or of something else, or ``out`` is there and no training of
            it is known.
    """
    known = folder / RECORD
    if folder.is_dir() and any(folder.iterdir()) and not known.is_file():
        raise ConfigError(f"{folder} is there already and holds no training; choose another file")
    if not resume or not (folder / LAST).is_file():  # nothing there to go on with
        if resume and out.exists():
            raise ConfigError(
                f"{out} is there already, and how it was trained is not known here. Choose another file, or "
                "begin anew and replace it: resume=False (--no-resume)"
            )
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder / "panels")
        with atomic_write(known, "w", error=DataError) as file:
            json.dump(record, file, indent=2)
        return
    try:
        before = json.loads(known.read_text(encoding="utf-8"))
        before.setdefault("images", record["images"])  # of trainings that began before it was recorded
        before["config"] = PGNConfig.from_dict(before["config"]).as_dict()  # settings that came later: off
        differ = differences(before, record, NOT_THE_TRAJECTORY)
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{known} is damaged: {error}. Remove {folder} to train again") from error
    if differ:
        raise ConfigError(
            f"{folder} holds a training with other settings: {'; '.join(differ)}. Choose another file, use "
            "those settings, or begin anew and lose it: resume=False (--no-resume)"
        )


def _crops(pictures: Pictures, config: PGNConfig) -> Tensor:
    """The crops on which the network's scale is set."""
    return held_out_crops(pictures.train, _SCALE_CROPS, config.crop, config.seed)


def _machine(device: str, devices: int) -> str:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return f"{devices} x {device} ({name}), {platform.system()}, {torch.get_num_threads()} threads"


class _Finish:
    """Makes checkpoints of what a training left in its folder."""

    def __init__(self, job: Job, pictures: Pictures, known: dict[str, dict[str, Any]]) -> None:
        self._job, self._pictures, self._known = job, pictures, known

    def write(self, out: Path) -> Path:
        """The checkpoint of a finished training, with short figures on held-out crops."""
        steps = self._take_weights()
        job, config = self._job, self._job.config
        network, loss = job.network.to(job.device).eval(), job.loss.to(job.device)
        fidelity: dict[str, Any] = {}
        if config.fidelity_crops and config.fidelity_steps:
            crops = held_out_crops(self._pictures.held_out, config.fidelity_crops, config.crop, config.seed)
            fidelity = short_fidelity(network, loss, crops.to(job.device), config)
        network.cpu()
        written = save_pgn(out, network, self._card(out, steps, fidelity))
        self._tidy()
        return written

    def _tidy(self) -> None:
        """Keep of the last state what tells that the training is over: replayed samples take much room."""
        from lossnets.gradients.training.state import read_state, write_state

        last = self._job.folder / LAST
        state = read_state(last)
        kept = {"state_dict": state["state_dict"], "lossnets": {"finished": state["lossnets"]["finished"]}}
        write_state(last, kept)
        for path in self._job.folder.glob("rank-*-step-*.safetensors"):
            path.unlink(missing_ok=True)

    def keep_last_good(self, error: DataError) -> str | None:
        """Of a training that diverged: write its last good state; returns where, in a sentence."""
        if not isinstance(error, DivergedError) and "training diverged" not in str(error):
            return None
        advice = "Use a lower lr, clip_norm=1 or precision='32'"
        path = self._job.folder / LAST_GOOD
        if not (self._job.folder / LAST).is_file():
            return f"There is no checkpoint yet. {advice}"
        steps = self._take_weights()
        self._known["training"]["diverged"] = str(error)
        save_pgn(path, self._job.network.cpu(), self._card(path, steps, {}))
        return f"Its state after {steps} steps is kept as {path}. {advice}"

    def _take_weights(self) -> int:
        """Put the last checkpoint's weights into the network; returns after how many steps they were."""
        from lossnets.gradients.training.state import read_state

        state = read_state(self._job.folder / LAST)
        prefix = "network."
        weights = {k[len(prefix) :]: v for k, v in state["state_dict"].items() if k.startswith(prefix)}
        self._job.network.cpu().load_state_dict(weights)
        return int(state["lossnets"]["finished"])

    def _card(self, path: Path, steps: int, fidelity: dict[str, Any]) -> Card:
        from lossnets.gradients.training.log import StepLog

        log = StepLog(self._job.folder / LOG)
        log.read(steps)
        seconds = sum(row.get("seconds", 0.0) for row in log.rows)
        samples = sum(row.get("samples", 0.0) for row in log.rows)
        figures = {"steps": steps, "seconds": round(seconds, 1), "samples": int(samples)}
        return Card(
            name=path.stem,
            loss=self._job.loss.name,
            loss_signature=self._job.loss.signature(),
            architecture=self._job.network.architecture,
            data=self._known["data"],
            training={**self._known["training"], **figures},
            fidelity=fidelity,
        )

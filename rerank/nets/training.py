"""The one training loop, for the coarse SegNet, its head alone and dense networks."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn

from rerank.errors import ConfigError
from rerank.losses import CorpusCounts
from rerank.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rerank.nets.dropout import reseed_dropout
from rerank.nets.loss_names import loss_from_name
from rerank.nets.schedule import Phase, TrainConfig, poly_factor
from rerank.nets.training_data import Batch, TrainingData


@dataclass(frozen=True)
class Progress:
    """How far a training is: steps done and in all, and an estimate of the seconds left."""

    done: int
    total: int
    phase: int
    epoch: int
    loss: float
    seconds_left: float


@dataclass(frozen=True)
class EpochRecord:
    """Mean loss over an epoch's steps, the last learning rate, and the time it took."""

    phase: int
    epoch: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class History:
    """What a training did.

    Attributes
    ----------
    epochs : tuple of EpochRecord
    phase_states : tuple of mappings
        The model's state at the end of each phase, on the CPU.
    """

    epochs: tuple[EpochRecord, ...]
    phase_states: tuple[Mapping[str, Tensor], ...]


@dataclass
class _Run:
    """Where a training stands; all that a checkpoint holds beside parameters."""

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    epoch_loss: float = 0.0
    epoch_seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    phase_states: list[dict[str, Tensor]] = field(default_factory=list)


def train(
    model: nn.Module,
    data: TrainingData,
    config: TrainConfig,
    *,
    device: Union[str, torch.device] = "cpu",
    progress: Optional[Callable[[Progress], None]] = None,
    checkpoint: Union[str, Path, None] = None,
    checkpoint_seconds: float = 60.0,
) -> History:
    """Train the parameters of a model that ask for gradients, in place.

    Stochastic gradient descent with momentum; the rate of each phase warms up and then falls
    by the poly rule. The order of samples, their augmentation and the dropout masks of a step
    follow from `config.random_state` and the step's number alone, so that a training that goes
    on from a checkpoint ends in the same bits as one that was never interrupted, and equal
    seeds give equal weights on the same device with the same number of torch's threads.

    Parameters
    ----------
    model : nn.Module
        Maps a batch's inputs to logits. Left in evaluation mode, on `device`.
    data : TrainingData
    config : TrainConfig
    device : str or torch.device
    progress : callable, optional
        Called with a `Progress` after each step.
    checkpoint : str or Path, optional
        File to keep the state in. If it exists the training goes on from it. It is written
        whole or not at all, and left in place at the end.
    checkpoint_seconds : float
        Least time between two writings; the end of a phase is always written.

    Returns
    -------
    History

    Raises
    ------
    ConfigError
        If `amp` is set on a device other than CUDA, or nothing in the model can be trained.
    DataError
        If the checkpoint is unreadable or of a training with other settings.
    """
    device = torch.device(device)
    if config.amp and device.type != "cuda":
        raise ConfigError(f"amp needs a CUDA device, got {device}")
    if len(data) < 1:
        raise ConfigError("the training data holds no sample")
    model.to(device)
    model.train()
    n_batches = -(-len(data) // config.batch_size)
    total = n_batches * sum(phase.epochs for phase in config.phases)
    run = _Run()
    optimizer, loss = _start_phase(model, config, 0, device)
    file = None if checkpoint is None else Path(checkpoint)
    signature = _signature(config, len(data))
    if file is not None and file.exists():
        saved = load_checkpoint(file, signature)
        run = _Run(**saved.run)
        run.records = [EpochRecord(**record) for record in saved.run["records"]]
        if run.phase < len(config.phases):
            optimizer, loss = _start_phase(model, config, run.phase, device)
            optimizer.load_state_dict(saved.optimizer)
            loss.load_state_dict(saved.loss)
        model.load_state_dict(saved.model)
    resumed_at = _steps_done(run, config, n_batches)
    started = saved_at = time.monotonic()

    while run.phase < len(config.phases):
        phase = config.phases[run.phase]
        before = time.monotonic()
        if run.batch == 0:
            _reset_counts(loss)
        step_loss, rate = _step(model, data, config, phase, run, n_batches, optimizer, loss,
                                device)
        run.epoch_loss += step_loss / n_batches
        run.batch += 1
        run.epoch_seconds += time.monotonic() - before
        phase_ended = _advance(run, phase, n_batches, rate)
        if phase_ended:
            run.phase_states.append(
                {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            )
            if run.phase < len(config.phases):
                optimizer, loss = _start_phase(model, config, run.phase, device)
        now = time.monotonic()
        if file is not None and (phase_ended or now - saved_at >= checkpoint_seconds):
            save_checkpoint(file, _freeze(run, signature, model, optimizer, loss))
            saved_at = now
        if progress is not None:
            done = _steps_done(run, config, n_batches)
            left = (now - started) / (done - resumed_at) * (total - done)
            progress(Progress(done, total, min(run.phase, len(config.phases) - 1), run.epoch,
                              step_loss, left))
    model.eval()
    return History(tuple(run.records), tuple(run.phase_states))


def _start_phase(
    model: nn.Module, config: TrainConfig, phase: int, device: torch.device
) -> tuple[torch.optim.SGD, nn.Module]:
    named = config.phases[phase].loss
    loss = (loss_from_name(named) if isinstance(named, str) else named).to(device)
    return _optimizer(model, config), loss


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("backbone."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ConfigError("no parameter of the model asks for a gradient: nothing to train")
    return torch.optim.SGD(
        [
            {
                "params": parameters,
                "lr": 0.0,
                "rate_factor": config.backbone_factor if in_backbone else 1.0,
                "weight_decay": config.weight_decay if is_filter else 0.0,
            }
            for (in_backbone, is_filter), parameters in groups.items()
        ],
        lr=0.0,
        momentum=config.momentum,
    )


def _step(
    model: nn.Module, data: TrainingData, config: TrainConfig, phase: Phase, run: _Run,
    n_batches: int, optimizer: torch.optim.SGD, loss: nn.Module, device: torch.device,
) -> tuple[float, float]:
    """Take one step; return the batch's loss and the learning rate."""
    step = run.epoch * n_batches + run.batch
    rate = phase.learning_rate * poly_factor(step, phase.epochs * n_batches, config.power,
                                             config.warmup)
    order = np.random.default_rng([config.random_state, run.phase, run.epoch])
    indices = np.array_split(order.permutation(len(data)), n_batches)[run.batch]
    rng = np.random.default_rng([config.random_state, run.phase, run.epoch, run.batch])
    batch = data.batch(indices, rng)
    reseed_dropout(model, int(rng.integers(2**63)))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
    optimizer.zero_grad(set_to_none=True)
    with _autocast(config, device):
        logits = model(batch.inputs.to(device))
        value = _evaluate(loss, logits, batch, device)
    value.backward()
    if config.clip_norm is not None:
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, config.clip_norm)
    optimizer.step()
    return float(value.detach()), rate


def _evaluate(loss: nn.Module, logits: Tensor, batch: Batch, device: torch.device) -> Tensor:
    targets = batch.targets.to(device)
    if batch.weights is None:
        value: Tensor = loss(logits, targets)
    else:
        value = loss(logits, targets, weights=batch.weights.to(device))
    return value


def _autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    if not config.amp:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _reset_counts(loss: nn.Module) -> None:
    for module in loss.modules():
        if isinstance(module, CorpusCounts) and module.decay == 1.0:
            module.reset()


def _advance(run: _Run, phase: Phase, n_batches: int, rate: float) -> bool:
    """Move on to the next step; return whether a phase ended."""
    if run.batch < n_batches:
        return False
    run.records.append(EpochRecord(run.phase, run.epoch, run.epoch_loss, rate,
                                   run.epoch_seconds))
    run.batch, run.epoch_loss, run.epoch_seconds = 0, 0.0, 0.0
    run.epoch += 1
    if run.epoch < phase.epochs:
        return False
    run.epoch = 0
    run.phase += 1
    return True


def _steps_done(run: _Run, config: TrainConfig, n_batches: int) -> int:
    epochs = sum(phase.epochs for phase in config.phases[:run.phase]) + run.epoch
    return epochs * n_batches + run.batch


def _signature(config: TrainConfig, n_samples: int) -> str:
    return f"{config!r} on {n_samples} samples"


def _freeze(
    run: _Run, signature: str, model: nn.Module, optimizer: torch.optim.SGD, loss: nn.Module
) -> Checkpoint:
    state = dict(vars(run))
    state["records"] = [dict(vars(record)) for record in run.records]
    return Checkpoint(signature, state, model.state_dict(), optimizer.state_dict(),
                      loss.state_dict())

"""The one training loop, for the coarse SegNet, its head alone and dense networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from rerank.errors import ConfigError
from rerank.losses import CorpusCounts, NeuroIoULoss
from rerank.nets.batches import Step, iterate_steps
from rerank.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rerank.nets.dropout import reseed_dropout
from rerank.nets.loss_names import loss_from_name
from rerank.nets.optimizers import Descent, ParameterGroup
from rerank.nets.schedule import TrainConfig, poly_factor
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
    """Mean loss over an epoch's steps, the last learning rate, and the time it took.

    `surrogate_fit` is the share of the held-out IoU losses' variance that a NeuroIoU loss's
    surrogate explains at the end of the epoch; None with other losses.
    """

    phase: int
    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    surrogate_fit: float | None = None


@dataclass(frozen=True, eq=False)
class History:
    """The record of a training.

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
    """Where a training stands: the next step's place, and what is known of the steps so far."""

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
    device: str | torch.device = "cpu",
    workers: int = 0,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
) -> History:
    """Train the parameters of a model that ask for gradients, in place.

    Gradient descent by the optimizer of `config`; the rate of each phase warms up and then falls by
    the poly rule. The order of samples, their augmentation and the dropout masks of a step
    follow from `config.random_state` and the step's place alone, so that a training that goes
    on from a checkpoint ends in the same bits as one that was never interrupted, and equal
    seeds give equal weights on the same device with the same number of torch's threads.

    Parameters
    ----------
    model : nn.Module
        Maps a batch's inputs to logits. Left in evaluation mode, on `device`.
    data : TrainingData
    config : TrainConfig
    device : str or torch.device
    workers : int
        Threads that prepare batches ahead of their use; they don't change the result.
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
        If `amp` is set on a device other than CUDA, nothing in the model can be trained, the
        data holds no sample, or `workers` is negative.
    DataError
        If the checkpoint is unreadable or of a training with other settings.
    """
    device = torch.device(device)
    if config.amp and device.type != "cuda":
        raise ConfigError(f"amp needs a CUDA device, got {device}")
    if len(data) < 1:
        raise ConfigError("the training data holds no sample")
    if workers < 0:
        raise ConfigError(f"workers must be at least 0, got {workers}")
    n_batches = -(-len(data) // config.batch_size)
    total = n_batches * sum(phase.epochs for phase in config.phases)
    trainer = _Trainer(model.to(device).train(), config, device, n_batches)
    file = None if checkpoint is None else Path(checkpoint)
    signature = f"{config!r} on {len(data)} samples"
    if file is not None and file.exists():
        trainer.restore(load_checkpoint(file, signature))
    run = trainer.run
    resumed_at = trainer.steps_done()
    started = saved_at = time.monotonic()
    for step in iterate_steps(data, config, n_batches, (run.phase, run.epoch, run.batch), workers):
        loss = trainer.step(step)
        now = time.monotonic()
        phase_ended = run.epoch == 0 and run.batch == 0
        if file is not None and (phase_ended or now - saved_at >= checkpoint_seconds):
            save_checkpoint(file, trainer.freeze(signature))
            saved_at = now
        if progress is not None:
            done = trainer.steps_done()
            left = (now - started) / (done - resumed_at) * (total - done)
            progress(Progress(done, total, step.phase, step.epoch, loss, left))
    model.eval()
    return History(tuple(run.records), tuple(run.phase_states))


class _Trainer:
    """A model under training with the optimizer and the loss of the phase it is in."""

    def __init__(
        self, model: nn.Module, config: TrainConfig, device: torch.device, n_batches: int
    ) -> None:
        self.model, self.config, self.device = model, config, device
        self.n_batches = n_batches
        self.run = _Run()
        self._start_phase(0)

    def _start_phase(self, phase: int) -> None:
        named = self.config.phases[phase].loss
        if isinstance(named, str):
            named = loss_from_name(named, random_state=self.config.random_state)
        self.loss = named.to(self.device)
        self.loss.train()
        self.optimizer = _descent(self.model, self.config)

    def step(self, step: Step) -> float:
        """Take a step, move on to the next place and return the loss of the batch."""
        before = time.monotonic()
        config, run = self.config, self.run
        phase = config.phases[step.phase]
        if step.index == 0:
            _reset_counts(self.loss)
        rate = phase.learning_rate * poly_factor(
            step.epoch * self.n_batches + step.index,
            phase.epochs * self.n_batches,
            config.power,
            config.warmup,
        )
        reseed_dropout(self.model, step.dropout_seed)
        self.optimizer.clear()
        with self._autocast():
            value = self._loss_of(step.batch)
        torch.autograd.backward(value)
        if config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.optimizer.parameters, config.clip_norm)
        self.optimizer.step(rate)
        loss = float(value.detach())
        run.epoch_loss += loss / self.n_batches
        run.epoch_seconds += time.monotonic() - before
        self._advance(rate)
        return loss

    def _loss_of(self, batch: Batch) -> Tensor:
        logits = self.model(batch.inputs.to(self.device, non_blocking=True))
        targets = batch.targets.to(self.device, non_blocking=True)
        if batch.weights is None:
            value: Tensor = self.loss(logits, targets)
        else:
            value = self.loss(logits, targets, weights=batch.weights.to(self.device))
        return value

    def _autocast(self) -> AbstractContextManager[object]:
        if not self.config.amp:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _advance(self, rate: float) -> None:
        run = self.run
        run.batch += 1
        if run.batch < self.n_batches:
            return
        run.records.append(
            EpochRecord(
                run.phase,
                run.epoch,
                run.epoch_loss,
                rate,
                run.epoch_seconds,
                _surrogate_fit(self.loss),
            )
        )
        run.batch, run.epoch_loss, run.epoch_seconds = 0, 0.0, 0.0
        run.epoch += 1
        if run.epoch < self.config.phases[run.phase].epochs:
            return
        run.epoch = 0
        run.phase += 1
        run.phase_states.append(
            {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
        )
        if run.phase < len(self.config.phases):
            self._start_phase(run.phase)

    def steps_done(self) -> int:
        """Number of steps before the next place."""
        run = self.run
        epochs = sum(phase.epochs for phase in self.config.phases[: run.phase]) + run.epoch
        return epochs * self.n_batches + run.batch

    def freeze(self, signature: str) -> Checkpoint:
        """Return all that is needed to go on from here."""
        state = dict(vars(self.run))
        state["records"] = [dict(vars(record)) for record in self.run.records]
        return Checkpoint(
            signature,
            state,
            self.model.state_dict(),
            self.optimizer.state_dict(),
            self.loss.state_dict(),
        )

    def restore(self, saved: Checkpoint) -> None:
        """Go to where a checkpoint was taken."""
        run = _Run(**saved.run)
        run.records = [EpochRecord(**record) for record in saved.run["records"]]
        self.run = run
        if run.phase < len(self.config.phases):
            self._start_phase(run.phase)
            self.optimizer.load_state_dict(saved.optimizer)
            self.loss.load_state_dict(saved.loss)
        self.model.load_state_dict(saved.model)


def _descent(model: nn.Module, config: TrainConfig) -> Descent:
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = ("backbone." in name, parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ConfigError("no parameter of the model asks for a gradient: nothing to train")
    return Descent(
        [
            ParameterGroup(
                tuple(parameters),
                config.backbone_factor if in_backbone else 1.0,
                config.weight_decay if is_filter else 0.0,
            )
            for (in_backbone, is_filter), parameters in groups.items()
        ],
        config.optimizer,
        config.momentum,
    )


def _reset_counts(loss: nn.Module) -> None:
    for module in loss.modules():
        if isinstance(module, CorpusCounts) and module.decay == 1.0:
            module.reset()


def _surrogate_fit(loss: nn.Module) -> float | None:
    for module in loss.modules():
        if isinstance(module, NeuroIoULoss):
            return module.held_out_share
    return None

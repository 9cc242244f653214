"""A plain segmentation network and its honest class-probability maps; uses no code of rerank.

A head of a few convolutions is trained on frozen SqueezeNet 1.0 activations by cross-entropy. Maps
of the training images are cross-fitted: the network of a map never saw its image. Maps of the
validation images come from a network trained on all training images.

    python benchmarks/plain_network.py ../shared/datasets/msrc21 --strength weak \
        --weights ../shared/weights/squeezenet1_0_imagenet_caffe.npz --out maps/msrc21_weak

writes ID.npy, (H, W, C) float16 at image size, and prints the figures of the argmax as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

IGNORED = 255
MEAN_BGR = (104.0, 117.0, 123.0)
# Fire modules by torchvision's names, and those that stand behind a pooling.
FIRES = ("3", "4", "5", "7", "8", "9", "10", "12")
POOLED_BEFORE = ("3", "7", "12")


class Strength(NamedTuple):
    """How good the network is meant to be."""

    width: int  # channels of the head; 0 is a linear classifier of single cells
    fine: bool  # whether the head reads the activations at a quarter of the image's size too
    context: bool  # whether it reads the mean activation of the whole image
    epochs: int
    learning_rate: float


STRENGTHS = {
    "good": Strength(width=96, fine=True, context=True, epochs=20, learning_rate=1e-3),
    "weak": Strength(width=64, fine=False, context=False, epochs=8, learning_rate=2e-3),
}


class Samples(NamedTuple):
    """The images and labels of one split."""

    ids: list[str]
    images: list[Path]
    labels: list[Path]


def open_split(root: Path, split: str) -> Samples:
    """List the images of a split of MSRC-21 (images/, labels/) or CamVid (train/, trainannot/)."""
    lines = (root / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    ids = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if (root / f"{split}annot").is_dir():
        folders = root / split, root / f"{split}annot"
    else:
        folders = root / "images", root / "labels"
    found = [{path.stem: path for path in folder.iterdir()} for folder in folders]
    return Samples(ids, [found[0][name] for name in ids], [found[1][name] for name in ids])


def n_classes_and_void(root: Path) -> tuple[int, int]:
    """Return the number of classes and the label of void pixels: CamVid's 11, or 255."""
    return (11, 11) if (root / "trainannot").is_dir() else (21, IGNORED)


def folds_of(root: Path, ids: list[str], n_folds: int, seed: int) -> np.ndarray:
    """Give each image its fold: contiguous blocks of a video, else stratified by category."""
    if (root / "trainannot").is_dir():  # frames of a video that are near in time look the same
        return np.sort(np.arange(len(ids)) * n_folds // len(ids))
    random = np.random.default_rng(seed)
    categories = np.array([name.split("_")[0] for name in ids])
    order = np.lexsort((random.random(len(ids)), categories))
    folds = np.empty(len(ids), dtype=np.int64)
    folds[order] = np.arange(len(ids)) % n_folds
    return folds


class Backbone(nn.Module):
    """The convolutions of SqueezeNet 1.0: activations at a quarter and at an eighth of the size."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        with np.load(weights, allow_pickle=False) as arrays:
            self.weights = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def _convolve(self, name: str, x: torch.Tensor, **options: Any) -> torch.Tensor:
        return F.relu(
            F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)
        )

    @torch.inference_mode()
    def forward(self, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return float16 activations (256, H/4, W/4) and (1280, H/8, W/8) of an RGB uint8 image."""
        bgr = image[:, :, ::-1].astype(np.float32) - np.array(MEAN_BGR, dtype=np.float32)
        x = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))[None]
        x = self._convolve("features.0", x, stride=2, padding=3)
        kept = {}
        for fire in FIRES:
            if fire in POOLED_BEFORE:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True, padding=0)
            squeezed = self._convolve(f"features.{fire}.squeeze", x)
            x = torch.cat(
                [
                    self._convolve(f"features.{fire}.expand1x1", squeezed),
                    self._convolve(f"features.{fire}.expand3x3", squeezed, padding=1),
                ],
                dim=1,
            )
            kept[fire] = x
        size = kept["10"].shape[-2:]
        coarse = [
            F.adaptive_avg_pool2d(kept["5"], size),
            kept["10"],
            F.interpolate(kept["12"], size=size, mode="bilinear", align_corners=False),
        ]
        return kept["5"][0].half(), torch.cat(coarse, dim=1)[0].half()


class Head(nn.Module):
    """Class scores from activations."""

    def __init__(
        self, strength: Strength, n_classes: int, scales: tuple[torch.Tensor, ...]
    ) -> None:
        super().__init__()
        self.strength = strength
        self.fine_scale, self.coarse_scale = scales
        width = strength.width
        n_coarse = self.coarse_scale.numel()
        if not width:
            self.classify = nn.Conv2d(n_coarse, n_classes, 1)
            return
        self.reduce = nn.Conv2d(n_coarse, width, 1)
        if strength.context:
            self.image = nn.Linear(n_coarse, width)
        self.mix = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        if not strength.fine:
            self.classify = nn.Conv2d(width, n_classes, 1)
            return
        self.fine = nn.Conv2d(self.fine_scale.numel(), width // 2, 1)
        self.narrow = nn.Conv2d(width, width // 2, 1)
        self.join = nn.Conv2d(2 * (width // 2), width // 2, 3, padding=1)
        self.classify = nn.Conv2d(width // 2, n_classes, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return scores (B, C, ...) of activations (B, 256, h, w) and (B, 1280, h/2, w/2).

        They are (h, w) where `fine`, and (h/2, w/2) else.
        """
        coarse = coarse.float() * self.coarse_scale[:, None, None]
        if not self.strength.width:
            return self.classify(coarse)
        # whole channels are cheaper to draw than single values
        drop = F.dropout2d if self.strength.fine else F.dropout
        x = self.reduce(drop(coarse, 0.2, self.training))
        if self.strength.context:
            x = x + self.image(coarse.mean(dim=(2, 3)))[:, :, None, None]
        x = F.relu(x)
        x = F.dropout2d(F.relu(x + self.mix(x)), 0.1, self.training)
        if not self.strength.fine:
            return self.classify(x)
        x = self.narrow(x)
        x = F.interpolate(x, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        details = F.relu(self.fine(fine.float() * self.fine_scale[:, None, None]))
        return self.classify(F.relu(self.join(torch.cat([x, details], dim=1))))


class Activations(NamedTuple):
    """The cached activations of a split, one entry an image, and its labels at image size."""

    fine: list[torch.Tensor]
    coarse: list[torch.Tensor]
    labels: list[np.ndarray]


def read_labels(path: Path, void: int) -> np.ndarray:
    """Labels (H, W) uint8, 255 where void."""
    labels = np.asarray(Image.open(path))
    return np.where(labels == void, IGNORED, labels).astype(np.uint8)


def read_activations(samples: Samples, backbone: Backbone, void: int, flip: bool) -> Activations:
    """Run the frozen layers over a split."""
    fine, coarse, labels = [], [], []
    for image_path, label_path in zip(samples.images, samples.labels, strict=True):
        image = np.asarray(Image.open(image_path).convert("RGB"))
        label = read_labels(label_path, void)
        if flip:
            image, label = image[:, ::-1], label[:, ::-1]
        one_fine, one_coarse = backbone(image)
        fine.append(one_fine)
        coarse.append(one_coarse)
        labels.append(label)
    return Activations(fine, coarse, labels)


def inverse_deviation(activations: list[torch.Tensor], chosen: np.ndarray) -> torch.Tensor:
    """One over the root mean square of each channel."""
    squares = [(activations[i].float() ** 2).mean(dim=(1, 2)) for i in chosen]
    return 1 / (torch.stack(squares).mean(dim=0).sqrt() + 1e-3)


def centres(n_pixels: int, n_cells: int) -> np.ndarray:
    """The pixels in the middle of cells that share an image's side."""
    return ((np.arange(n_cells) + 0.5) * n_pixels / n_cells).astype(int)


def train(
    data: list[Activations], chosen: np.ndarray, n_classes: int, strength: Strength, seed: int
) -> Head:
    """Train a head by Adam and plain cross-entropy at the size of its scores.

    `data` holds the images and, where given, their mirror images; `chosen` indexes the images.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    some = chosen[:: max(1, len(chosen) // 60)]
    scales = inverse_deviation(data[0].fine, some), inverse_deviation(data[0].coarse, some)
    head = Head(strength, n_classes, scales).train()
    # a batch of several images of one size; MSRC-21 has upright images too
    sizes = {i: data[0].labels[i].shape for i in chosen}
    n_batches = strength.epochs * -(-len(chosen) // 4)
    optimiser = torch.optim.AdamW(head.parameters(), lr=strength.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, strength.learning_rate, total_steps=n_batches + 8 * strength.epochs
    )
    for _ in range(strength.epochs):
        order = random.permutation(chosen)
        batches = [[i for i in order if sizes[i] == size] for size in dict.fromkeys(sizes.values())]
        parts = [group[k : k + 4] for group in batches for k in range(0, len(group), 4)]
        for k in random.permutation(len(parts)):
            members = parts[k]
            side = data[random.integers(len(data))]
            scores = head(
                torch.stack([side.fine[i] for i in members]),
                torch.stack([side.coarse[i] for i in members]),
            )
            labels = torch.from_numpy(np.stack([side.labels[i] for i in members])).long()
            rows = centres(labels.shape[1], scores.shape[2])
            columns = centres(labels.shape[2], scores.shape[3])
            loss = F.cross_entropy(scores, labels[:, rows][:, :, columns], ignore_index=IGNORED)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return head.eval()


@torch.inference_mode()
def write_map(head: Head, data: Activations, index: int, path: Path) -> None:
    """Write the class probabilities of an image at its size."""
    scores = head(data.fine[index][None], data.coarse[index][None])
    size = data.labels[index].shape
    scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
    np.save(path, scores.softmax(dim=1)[0].permute(1, 2, 0).numpy().astype(np.float16))


def figures(
    labels: list[np.ndarray], predictions: list[np.ndarray], n_classes: int
) -> dict[str, float]:
    """Return corpus mIoU and mean image IoU in percent.

    Image IoU is the mean over the classes that the image's labels or its prediction hold.
    """
    intersections, unions = [], []
    for label, prediction in zip(labels, predictions, strict=True):
        valid = label != IGNORED
        pairs = np.bincount(
            label[valid].astype(np.int64) * n_classes + prediction[valid], minlength=n_classes**2
        ).reshape(n_classes, n_classes)
        intersections.append(np.diag(pairs))
        unions.append(pairs.sum(axis=0) + pairs.sum(axis=1) - np.diag(pairs))
    inter, union = np.array(intersections, dtype=float), np.array(unions, dtype=float)
    with np.errstate(invalid="ignore"):
        corpus = np.nanmean(inter.sum(axis=0) / union.sum(axis=0))
        image = np.nanmean(np.nanmean(inter / union, axis=1))
    return {"corpus": round(100 * float(corpus), 2), "image": round(100 * float(image), 2)}


def main(arguments: list[str] | None = None) -> None:
    """Train, write the maps of both splits and print the argmax's figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder of MSRC-21 or CamVid")
    parser.add_argument("--weights", type=Path, required=True, help="npz of SqueezeNet 1.0")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--strength", choices=sorted(STRENGTHS), default="good")
    parser.add_argument("--epochs", type=int, help="instead of the strength's own")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", help="folds 0, 1, ... and val; all by default")
    parser.add_argument("--no-flip", action="store_true", help="no mirrored training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    strength = STRENGTHS[options.strength]
    if options.epochs:
        strength = strength._replace(epochs=options.epochs)
    n_classes, void = n_classes_and_void(options.root)
    options.out.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()

    def tell(text: str) -> None:
        print(f"{time.process_time() - begun:7.1f} s  {text}", file=sys.stderr, flush=True)

    backbone = Backbone(options.weights)
    samples = {split: open_split(options.root, split) for split in ("train", "val")}
    flips = [False] if options.no_flip else [False, True]
    data = [read_activations(samples["train"], backbone, void, flip) for flip in flips]
    tell("activations of the training images")
    names = samples["train"].ids
    folds = folds_of(options.root, names, options.folds, options.seed)
    for part in options.parts or [*range(options.folds), "val"]:
        if part == "val":
            seen, unseen, held_out = np.ones(len(names), bool), samples["val"].ids, None
        else:
            seen, unseen, held_out = folds != int(part), names, data[0]
        head = train(data, np.flatnonzero(seen), n_classes, strength, options.seed)
        if held_out is None:
            held_out = read_activations(samples["val"], backbone, void, flip=False)
        for i, name in enumerate(unseen):
            if part == "val" or not seen[i]:
                write_map(head, held_out, i, options.out / f"{name}.npy")
        tell(f"maps of part {part}")
    result: dict[str, Any] = {"strength": options.strength, "settings": strength._asdict()}
    for split, title in (("train", "train, cross-fitted"), ("val", "val")):
        paths = [options.out / f"{name}.npy" for name in samples[split].ids]
        if all(path.is_file() for path in paths):
            labels = [read_labels(path, void) for path in samples[split].labels]
            predictions = [np.load(path).argmax(axis=2) for path in paths]
            result[title] = figures(labels, predictions, n_classes)
    result["cpu_seconds"] = round(time.process_time() - begun, 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Results of single images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.datasets import overlay, save_labels_png
from rerank.files import write_text
from rerank.prediction import Result
from rerank.reports import to_csv
from rerank.types import Array


def write_result(result: Result, image: Array, name: str, out: Path, palette: Array) -> Path:
    """Write `NAME_segmentation.png`, `NAME_overlay.png`, `NAME_proposals/` and `NAME_scores.csv`.

    Parameters
    ----------
    result : Result
    image : (H, W, 3) uint8 array
    name : str
    out : Path
        The folder; made if absent.
    palette : (256, 3) uint8 array

    Returns
    -------
    Path
        Of the segmentation.
    """
    proposals = result.proposals
    folder = out / f"{name}_proposals"
    folder.mkdir(parents=True, exist_ok=True)
    labels = result.labels
    segmentation = out / f"{name}_segmentation.png"
    save_labels_png(segmentation, labels, palette)
    save_rgb_png(out / f"{name}_overlay.png", overlay(image, labels, palette))
    for m in range(len(proposals)):
        save_labels_png(folder / f"{m:02d}.png", proposals.labels(m), palette)
    rows = [
        {
            "proposal": m,
            "score": float(result.scores[m]),
            "energy": float(proposals.energies[m]),
            "generator": proposals.generators[m],
            "chosen": int(m == result.chosen),
        }
        for m in range(len(proposals))
    ]
    write_text(out / f"{name}_scores.csv", to_csv(rows))
    return segmentation


def save_rgb_png(path: Path, image: Array) -> None:
    """Write an RGB image as PNG.

    Parameters
    ----------
    path : Path
    image : (H, W, 3) uint8 array
    """
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(image)).save(path)

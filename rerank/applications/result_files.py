"""Results of single images as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rerank.applications.result_rows import proposal_rows, summary_row
from rerank.datasets import painted_classes, save_labels_png
from rerank.files import write_text
from rerank.reports import to_csv
from rerank.result import Result
from rerank.types import Array

#: A row for each image of a folder.
SUMMARY = "scores.csv"
#: What follows an image's name in the longest name of a file.
LONGEST_ENDING = "_segmentation.png"


def write_result(
    result: Result,
    image: Array,
    name: str,
    out: Path,
    palette: Array,
    class_names: Sequence[str] = (),
) -> tuple[Path, dict[str, object]]:
    """Write the files of one image.

    They are `NAME_segmentation.png`, `NAME_overlay.png`, `NAME_proposals/`, `NAME_scores.csv`, and
    `NAME_disagreement.png` where there are beliefs: grey, 255 where the label is surely wrong.

    Parameters
    ----------
    result : Result
    image : (H, W, 3) uint8 array
    name : str
    out : Path
        The folder; made if absent.
    palette : (256, 3) uint8 array
    class_names : sequence of str
        For the texts; numbers where there are none.

    Returns
    -------
    segmentation : Path
    row : dict
        The image's row of `write_summary`.
    """
    proposals = result.proposals
    folder = out / f"{name}_proposals"
    folder.mkdir(parents=True, exist_ok=True)
    labels, disagreement = result.labels, result.disagreement
    segmentation = out / f"{name}_segmentation.png"
    save_labels_png(segmentation, labels, palette)
    save_picture(out / f"{name}_overlay.png", painted_classes(image, labels, palette))
    if disagreement is not None:
        grey = np.rint(255 * disagreement.clip(0, 1)).astype(np.uint8)
        save_picture(out / f"{name}_disagreement.png", grey)
    # Fewer proposals than an earlier run wrote must not leave its last ones behind.
    for path in folder.glob("[0-9][0-9].png"):
        if int(path.stem) >= len(proposals):
            path.unlink()
    for m in range(len(proposals)):
        save_labels_png(folder / f"{m:02d}.png", proposals.labels(m), palette)
    write_text(out / f"{name}_scores.csv", to_csv(proposal_rows(result, class_names)))
    return segmentation, summary_row(result, name, class_names)


def write_summary(rows: Sequence[dict[str, object]], out: Path) -> Path:
    """Write `scores.csv`, a row for each image.

    Parameters
    ----------
    rows : sequence of dict
        Of `write_result`.
    out : Path
        The folder.

    Returns
    -------
    Path
    """
    path = out / SUMMARY
    write_text(path, to_csv(rows))
    return path


def save_picture(path: Path, picture: Array) -> None:
    """Write a colour or grey picture as PNG.

    Parameters
    ----------
    path : Path
    picture : (H, W, 3) or (H, W) uint8 array
    """
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(picture)).save(path)

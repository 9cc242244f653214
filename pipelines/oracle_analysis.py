"""What the proposals of a run make possible: the best of the first M, for every M.

python pipelines/oracle_analysis.py --work WORK --out DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank import open_run
from rerank.metrics import chosen_counts, corpus_iou, mean_image_iou, oracle_curve
from rerank.reports import draw_oracle_curve, to_csv, to_png
from rerank.stages.oracle import population_parts, read_counts


def main() -> None:
    """Write `oracle.csv` and `oracle.png`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", required=True, help="work folder of a finished run")
    parser.add_argument("--out", required=True, help="folder for the files")
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)

    # Pixels in intersection and union with the truth: an array over images, proposals and classes.
    job = open_run(options.work).job("oracle")
    parts = population_parts(job, "evaluation") or population_parts(job, "cross_fitted")
    counts = read_counts(job, parts)

    # For each M the best of an image's first M proposals, by image IoU and greedily for the corpus.
    curve = oracle_curve(counts.intersections, counts.unions)
    rows = [
        {
            "n_proposals": int(m),
            "corpus_miou": round(100 * float(curve.image_oracle_miou[k]), 2),
            "image_iou": round(100 * float(curve.image_oracle_image_iou[k]), 2),
            "corpus_oracle_miou": round(100 * float(curve.corpus_oracle_miou[k]), 2),
        }
        for k, m in enumerate(curve.n_proposals)
    ]
    (out / "oracle.csv").write_text(to_csv(rows))

    # MAP is the first proposal of each image: a line to compare the curve with.
    first = chosen_counts(counts, 0 * curve.image_oracle_choice[0])
    lines = {"MAP": (corpus_iou(first).mean, mean_image_iou(first))}
    (out / "oracle.png").write_bytes(to_png(draw_oracle_curve(curve, lines, "Oracle accuracy")))
    print(
        f"MAP {100 * lines['MAP'][0]:.1f}, oracle of {rows[-1]['n_proposals']} proposals "
        f"{rows[-1]['corpus_miou']} corpus mIoU, {len(counts.unions)} images; see {out}"
    )


if __name__ == "__main__":
    main()

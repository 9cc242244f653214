"""What each group of features adds to the ranker: a ranker for every subset of the groups.

python pipelines/feature_ablation.py --work WORK --out DIR [--groups segnet,proposal]
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from rerank import open_run
from rerank.metrics import IntersectionUnion, chosen_counts
from rerank.ranking.ranking_table import join
from rerank.reports import evaluate, evaluation_rows, to_csv
from rerank.stages.ranking_rows import load_parts
from rerank.tuning.ranker_choice import choose_ranker, fit_ranker, rank_candidates, ranker_scores


def main() -> None:
    """Write `ablation.csv`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", required=True, help="work folder of a finished run")
    parser.add_argument("--out", required=True, help="folder for the file")
    parser.add_argument("--groups", help="names of groups [those of the recipe's report]")
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)

    # Features of all proposals and how good these are, fold by fold; columns that never vary are
    # left out. Without evaluation images the last fold is judged by a ranker of the others.
    graph = open_run(options.work)
    recipe = graph.recipe
    folds, judged = load_parts(graph.job("ranking"))
    if judged is None:
        folds, judged = folds[:-1], folds[-1]
    train = join(folds)
    groups = recipe.report.ablation_groups
    if options.groups is not None:
        groups = tuple(options.groups.split(","))

    # The first proposal of each image is MAP, which gains are counted over.
    baseline = chosen_counts(judged.counts, np.zeros(len(judged.image_ids), dtype=np.int64))
    candidates = rank_candidates("svm", recipe)
    rows = []
    for size in range(1, len(groups) + 1):
        for subset in combinations(groups, size):
            # C is chosen across the folds, then the ranker is fitted on all of them.
            ranker = choose_ranker(folds, subset, candidates, recipe)
            fitted = fit_ranker(train, subset, ranker, recipe)
            choice = ranker_scores(fitted, judged, subset).argmax(axis=1)
            chosen: IntersectionUnion = chosen_counts(judged.counts, choice)
            found = evaluate(" + ".join(subset), chosen, baseline, recipe.report.n_bootstrap)
            rows += evaluation_rows({found.name: found})
            print(f"{found.name}: {100 * found.corpus_iou:.1f} corpus mIoU")
    (out / "ablation.csv").write_text(to_csv(rows))


if __name__ == "__main__":
    main()

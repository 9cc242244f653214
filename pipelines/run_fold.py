"""One fold of a recipe, step by step: from its images to the features of its proposals.

    python pipelines/run_fold.py msrc21 --data-root DATA --work WORK --fold 3

Folds can run at the same time on machines that share the work folder; what one has computed the
others read. When all have ended, `rerank run` with the same arguments and without `--fold` fits
the rankers, which need every fold.
"""

from __future__ import annotations

import argparse

from rerank import load_recipe
from rerank.applications.runs import write_run_file
from rerank.engine.graph import Graph
from rerank.engine.scheduler import compute, part_name
from rerank.engine.store import Store
from rerank.stages.pipeline import open_pipeline


def step(graph: Graph, fold: str, stage: str) -> None:
    """Compute what a stage has to give for a fold, and say where it lies."""
    for task in graph.needed_for(fold):
        if task.stage.name == stage:
            compute(graph, task)
            header = graph.store.header(task.ref)
            print(f"{task.ref}: {len(header.image_ids)} images, {header.seconds:.1f} s")


def main() -> None:
    """Run one fold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recipe", help="a built-in recipe's name, or a YAML file")
    parser.add_argument("--data-root", help="folder of the images")
    parser.add_argument("--work", required=True, help="work folder")
    parser.add_argument("--fold", required=True, help="0, 1, ... or final")
    options = parser.parse_args()

    graph = open_pipeline(load_recipe(options.recipe), Store(options.work), options.data_root)
    write_run_file(graph, options.data_root)
    fold = part_name(options.fold)

    # Stage 1. An image becomes a graph of superpixels, and these get class probabilities from
    # models that were trained on the other folds.
    step(graph, fold, "superpixels")
    step(graph, fold, "superpixel_features")
    step(graph, fold, "unaries")

    # Stage 2 knows more of an image: a coarse SegNet, classifiers of the whole image, and a second
    # classifier of superpixels. The fusion joins all of them with the unaries.
    step(graph, fold, "activations")
    step(graph, fold, "segnet")
    step(graph, fold, "classifiers")
    step(graph, fold, "auxiliary_features")
    step(graph, fold, "auxiliary")
    step(graph, fold, "fusion")

    # CRFs on the unaries and on the fused posterior give MAP and diverse proposals; their settings
    # are chosen on training images that the models had not seen.
    step(graph, fold, "crf_settings")
    step(graph, fold, "proposals")

    # What the ranker is trained on: how good each proposal is, and what it looks like.
    step(graph, fold, "quality")
    step(graph, fold, "features")


if __name__ == "__main__":
    main()

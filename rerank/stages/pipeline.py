"""The pipeline on one screen: the stages in their order, and what each reads.

A stage is the module of its name here. Its function `run` reads arrays from the store, calls
functions on arrays, and writes arrays to the file of one fold, or of one shard of a fold where it
is in `shards`; `final` are the evaluation images. `declarations` holds what else a stage is: its
version, and the settings that decide its results.
"""

from __future__ import annotations

from rerank.config import Recipe
from rerank.engine.graph import Graph
from rerank.engine.store import Store
from rerank.stages import declarations
from rerank.stages.declarations import every, fit, own, shards, stage
from rerank.stages.index import INDEX, make_parts
from rerank.stages.run_data import open_data

STAGES = (
    INDEX,
    # Stage 1: superpixels and their class probabilities.
    shards("superpixels", reads=declarations.superpixels_reads),
    shards("superpixel_features", own("superpixels"), reads=declarations.features_reads),
    stage("unaries", fit("superpixels", "superpixel_features"), reads=declarations.unaries_reads),
    # What only stage 2 knows of an image, and its fusion with the unaries.
    shards("activations", reads=("images", "weights")),
    stage("segnet", fit("activations")),
    shards("upsampling", own("segnet", "superpixels"), reads=("images",)),
    stage("classifiers", fit("superpixels", "superpixel_features", "activations")),
    shards("auxiliary_features", own("superpixels"), reads=("images", "weights")),
    stage(
        "auxiliary", fit("superpixels", "auxiliary_features"), reads=declarations.auxiliary_reads
    ),
    stage("fusion", declarations.fusion_inputs),
    # CRFs on the unaries and on the fused posterior, and the proposals drawn from them.
    stage("crf_settings", declarations.crf_inputs),
    shards("proposals", own("superpixels", "unaries", "fusion", "crf_settings")),
    shards("quality", own("superpixels", "unaries", "proposals")),
    # Stage 2: what proposals look like, and the rankers that choose among them.
    shards(
        "features",
        own("superpixels", "unaries", "fusion", "proposals", "segnet", "classifiers"),
        reads=("images",),
    ),
    stage("ranking", every("features", "quality", "proposals"), split=False),
    stage("calibration", every(*declarations.CALIBRATED_ON), split=False),
    # Analyses, and the report that shows them.
    stage("oracle", every("quality"), split=False),
    stage(
        "dense_crf",
        declarations.dense_crf_inputs,
        reads=declarations.superpixels_reads,
        split=False,
    ),
    stage("generators", every("superpixels", "unaries", "fusion", "crf_settings"), split=False),
    stage("ablation", every("features", "quality", "proposals"), split=False),
    stage(
        "pages",
        every("superpixels", "unaries", "proposals", "quality", "features", "upsampling")
        + every("ranking", "calibration", "oracle", "dense_crf", "generators", "ablation"),
        reads=("images",),
        split=False,
    ),
)


def open_pipeline(recipe: Recipe, store: Store, data_root: str | None = None) -> Graph:
    """The graph of a recipe's artefacts over a work folder.

    Parameters
    ----------
    recipe : Recipe
    store : Store
        The labels are counted in it, if they are not yet: folds are made from the counts.
    data_root : str, optional
        Folder of the images, for data sets that are read from disk.

    Returns
    -------
    Graph

    Raises
    ------
    ConfigError
        If there are fewer training images than folds.
    DataError
        If the images or the backbone's weights are missing or unreadable.
    LeakError
        If the training and the evaluation split share an image.
    """
    if recipe.unary.source == "dense_network" or recipe.auxiliary.dense_network:
        from rerank.potentials.dense_network_unary import dense_source_settings

        # Settings that only the network can judge are refused before anything is computed.
        dense_source_settings(recipe)
    data = open_data(recipe, data_root)
    parts = make_parts(recipe, store, data)
    return Graph(recipe, declarations.sized(STAGES, data.n_classes, parts), parts, data, store)

"""The pipeline's stages in their order, and the workflow that runs them."""

from rerank.engine.graph import Task, TaskStatus, Workflow
from rerank.engine.stage import Job, Stage
from rerank.stages import (
    ablation,
    activations,
    auxiliary,
    classifiers,
    crf_settings,
    dense_crf,
    features,
    fusion,
    generators,
    oracle,
    pages,
    proposals,
    ranking,
    segnet,
    superpixel_features,
    superpixels,
    unaries,
)

#: Each stage after those that it reads.
PIPELINE = (
    superpixels.STAGE,
    superpixel_features.STAGE,
    activations.STAGE,
    unaries.STAGE,
    superpixel_features.FOR_POSTERIOR,
    auxiliary.STAGE,
    segnet.STAGE,
    segnet.UPSAMPLING,
    classifiers.STAGE,
    fusion.STAGE,
    crf_settings.STAGE,
    proposals.STAGE,
    proposals.QUALITY,
    features.STAGE,
    ranking.STAGE,
    oracle.STAGE,
    dense_crf.STAGE,
    generators.STAGE,
    ablation.STAGE,
    pages.STAGE,
)

__all__ = ["PIPELINE", "Job", "Stage", "Task", "TaskStatus", "Workflow"]

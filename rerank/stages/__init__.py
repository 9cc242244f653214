"""The pipeline's stages in their order, and the workflow that runs them."""

from rerank.stages import (
    ablation,
    activations,
    classifiers,
    crf_settings,
    dense_crf,
    features,
    fusion,
    generators,
    oracle,
    posterior,
    proposals,
    ranking,
    report,
    segnet,
    superpixel_features,
    superpixels,
    unaries,
)
from rerank.stages.base import Job, Stage
from rerank.stages.workflow import Task, TaskStatus, Workflow

#: Each stage after those that it reads.
PIPELINE = (
    superpixels.STAGE,
    superpixel_features.STAGE,
    activations.STAGE,
    unaries.STAGE,
    superpixel_features.FOR_POSTERIOR,
    posterior.STAGE,
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
    report.STAGE,
)

__all__ = ["PIPELINE", "Job", "Stage", "Task", "TaskStatus", "Workflow"]

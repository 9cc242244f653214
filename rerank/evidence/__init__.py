"""What stage 2 knows of an image: image classifiers, priors, fused posterior.

`ImageEvidence` gathers what the models say of one image, and `ImageRegions` holds its superpixels.
`region_signals` turns the evidence into one number for each region, class and source, and
`FusedPosterior` joins these into one distribution over the classes of each region. All models here
are fitted on images that they are not used on.
"""

from rerank.evidence.colour_evidence import colour_evidence, informed_by_colours, with_evidence
from rerank.evidence.fused_posterior import FusedPosterior
from rerank.evidence.grid_cells import cells_to_regions
from rerank.evidence.image_classifiers import (
    PERCENTILES,
    ImageClassifiers,
    SizeThresholdClassifiers,
    foreground_classes,
    size_thresholds,
)
from rerank.evidence.image_evidence import (
    AuxiliaryProbabilities,
    ImageEvidence,
    ImageScores,
    SegNetMap,
)
from rerank.evidence.image_regions import ImageRegions
from rerank.evidence.priors import CooccurrencePrior, LocationPrior
from rerank.evidence.region_signals import PROBABILITY_FLOOR, RegionSignals, region_signals

__all__ = [
    "PERCENTILES",
    "PROBABILITY_FLOOR",
    "AuxiliaryProbabilities",
    "CooccurrencePrior",
    "FusedPosterior",
    "ImageClassifiers",
    "ImageEvidence",
    "ImageRegions",
    "ImageScores",
    "LocationPrior",
    "RegionSignals",
    "SegNetMap",
    "SizeThresholdClassifiers",
    "cells_to_regions",
    "colour_evidence",
    "foreground_classes",
    "informed_by_colours",
    "region_signals",
    "size_thresholds",
    "with_evidence",
]

"""Generators of diverse labelings of one image.

Every generator returns a `ProposalSet`: the labelings, their energies, a lower bound of each, and
which generator made each with which settings. `run_candidates` makes chosen candidates.
"""

from rerank.proposals.candidates import Candidate, run_candidates, run_generator
from rerank.proposals.class_bias import ClassBias
from rerank.proposals.divmbest import DivMBest, div_mbest
from rerank.proposals.generator import ProposalGenerator, build_generator, generator_names
from rerank.proposals.image_colours import ImageColours
from rerank.proposals.joint_mbest import JointMBest, joint_cost, joint_mbest
from rerank.proposals.label_coverage import LabelCoverage
from rerank.proposals.label_swap import LabelSwap
from rerank.proposals.perturb_and_map import PerturbAndMAP, perturb_and_map
from rerank.proposals.posterior_samples import PosteriorSamples
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.proposals.region_merging import RegionMerging
from rerank.proposals.regions import label_components, merge_hierarchy
from rerank.proposals.settings_grid import SettingsGrid
from rerank.proposals.user_masks import UserMasks

__all__ = [
    "Candidate",
    "ClassBias",
    "DivMBest",
    "ImageColours",
    "JointMBest",
    "LabelCoverage",
    "LabelSwap",
    "PerturbAndMAP",
    "PosteriorSamples",
    "ProposalContext",
    "ProposalGenerator",
    "ProposalSet",
    "RegionMerging",
    "SettingsGrid",
    "UserMasks",
    "build_generator",
    "div_mbest",
    "generator_names",
    "joint_cost",
    "joint_mbest",
    "label_components",
    "merge_hierarchy",
    "perturb_and_map",
    "run_candidates",
    "run_generator",
]

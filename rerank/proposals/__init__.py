"""Diverse labelings of one image: DivMBest and its kin, and the pool that chooses among them.

Every generator returns a `ProposalSet`: the labelings, their energies, what is proved about each,
and which generator made each with which settings. `greedy_pool` chooses rows of generators where
the truth is known, and `run_pool` makes them where it is not.
"""

from rerank.proposals.class_bias import ClassBias
from rerank.proposals.context import ProposalContext
from rerank.proposals.divmbest import div_mbest
from rerank.proposals.generator import ProposalGenerator, build_generator, generator_names
from rerank.proposals.hamming import DivMBest
from rerank.proposals.image_colours import ImageColours
from rerank.proposals.joint import JointMBest, joint_cost, joint_mbest
from rerank.proposals.label_coverage import LabelCoverage
from rerank.proposals.label_swap import LabelSwap
from rerank.proposals.perturb import PerturbAndMAP, perturb_and_map
from rerank.proposals.pool import Candidate, run_candidates, run_generator, run_pool
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
    "run_pool",
]

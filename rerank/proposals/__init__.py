"""Diverse labelings of one image: DivMBest and its kin, and the pool that chooses among them.

Every generator returns a `ProposalSet`: the labelings, their energies, what is proved about each,
and which generator made each with which settings.
"""

from rerank.proposals.divmbest import div_mbest
from rerank.proposals.proposal_set import ProposalSet

__all__ = ["ProposalSet", "div_mbest"]

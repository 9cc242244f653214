"""Labelings that come from elsewhere, as proposals beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import RandomState


@dataclass(frozen=True)
class UserMasks(ProposalGenerator):
    """The rows of `ProposalContext.masks`, in their order.

    If a pool is to choose row k, it should come from the same source on every image.
    """

    name: ClassVar[str] = "user_masks"

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Return at most as many labelings as there are masks.

        Raises
        ------
        InputError
            If the context has no masks.
        """
        if context.masks is None:
            raise InputError("user_masks needs a context with masks, one labeling a row")
        rows = np.atleast_2d(context.masks)[:n_proposals]
        return self._wrap(context, rows, each=[{"mask": k} for k in range(len(rows))])

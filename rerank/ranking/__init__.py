"""Rankers: they score the proposals of an image and choose one.

All share one interface (`Ranker`): `fit(X, quality, groups)`, `decision_function(X)` with higher
scores for better proposals, and `choose(X, groups)`, the chosen row of each image. The structured
SVM's solver also learns the parameters of the CRF that proposals come from
(`StructuredCRFLearner`). A `Gate` lets a ranker's choice replace the network's own labeling only
where it is confident, a `ConformalSet` holds the fewest proposals of which one is good, and
`choose_corpus` chooses for all images together.
"""

from rerank.ranking.boosting import BoostingRanker
from rerank.ranking.conformal_set import ConformalSet, ProposalOrder, proposal_order
from rerank.ranking.corpus_choice import (
    CorpusChoice,
    ExpectedCounts,
    choose_corpus,
    expected_counts,
    marginal_counts,
    proposal_beliefs,
)
from rerank.ranking.corpus_loss import corpus_quality
from rerank.ranking.crf_example import CRFExample
from rerank.ranking.crf_learner import StructuredCRFLearner
from rerank.ranking.gate import Gate, GatedChoice
from rerank.ranking.minimum_bayes_risk import (
    MinimumBayesRiskRanker,
    expected_quality,
    minimum_bayes_risk_columns,
)
from rerank.ranking.pairwise_svm import PairwiseRankSVM
from rerank.ranking.proposal_model import ProposalLabel, ProposalModel
from rerank.ranking.ranker import LinearRanker, Ranker
from rerank.ranking.ridge import RidgeRanker
from rerank.ranking.structured_svm import StructuredRankSVM, pystruct_problem
from rerank.ranking.symmetric_kl import (
    SmoothingChoice,
    SymmetricKL,
    SymmetricKLRanker,
    choose_smoothing,
    symmetric_kl,
)

__all__ = [
    "BoostingRanker",
    "CRFExample",
    "ConformalSet",
    "CorpusChoice",
    "ExpectedCounts",
    "Gate",
    "GatedChoice",
    "LinearRanker",
    "MinimumBayesRiskRanker",
    "PairwiseRankSVM",
    "ProposalLabel",
    "ProposalModel",
    "ProposalOrder",
    "Ranker",
    "RidgeRanker",
    "SmoothingChoice",
    "StructuredCRFLearner",
    "StructuredRankSVM",
    "SymmetricKL",
    "SymmetricKLRanker",
    "choose_corpus",
    "choose_smoothing",
    "corpus_quality",
    "expected_counts",
    "expected_quality",
    "marginal_counts",
    "minimum_bayes_risk_columns",
    "proposal_beliefs",
    "proposal_order",
    "pystruct_problem",
    "symmetric_kl",
]

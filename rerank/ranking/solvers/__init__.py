"""The solver of the structured hinge: the objective of `StructuredRankSVM`.

`solve_hinge` keeps the violated constraints in a `WorkingSet` and works on its dual by
block-coordinate ascent with projected Newton steps, or on both problems by an interior point
method, until the duality gap is small enough.
"""

from rerank.ranking.solvers.hinge_problem import HingeProblem, scaled_problem
from rerank.ranking.solvers.hinge_solver import HingeSolution, solve_hinge

__all__ = ["HingeProblem", "HingeSolution", "scaled_problem", "solve_hinge"]

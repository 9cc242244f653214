"""Hand problems to the peers' interpreter and read their answers."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from rerank.crf import PottsEnergy, trws

Answer = TypeVar("Answer")


def timed(function: Callable[[], Answer], repeats: int) -> tuple[Answer, float]:
    """The answer, and the least CPU seconds of `repeats` calls after a first one."""
    best, answer = np.inf, function()
    for _ in range(repeats):
        begin = time.process_time()
        answer = function()
        best = min(best, time.process_time() - begin)
    return answer, best


@dataclass(frozen=True)
class Problem:
    """One energy, to be solved `modes` times with a diversity between the solutions."""

    name: str
    unary: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    diversity: float = 0.0
    modes: int = 1

    def energy(self) -> PottsEnergy:
        return PottsEnergy(self.unary, self.edges, self.weights)

    def augmented(self, labelings: np.ndarray) -> list[np.ndarray]:
        """The unaries of each mode, if `labelings` were the earlier solutions."""
        theta, nodes, series = self.unary.copy(), np.arange(len(self.unary)), []
        for row in labelings:
            series.append(theta.copy())
            theta[nodes, row] += self.diversity
        return series


@dataclass(frozen=True)
class PeerAnswer:
    """Labelings (modes, n) and CPU seconds (modes,) of one peer on one problem."""

    labelings: np.ndarray
    seconds: np.ndarray


def ask_peers(
    interpreter: str, problems: Sequence[Problem], repeats: int = 3
) -> list[dict[str, PeerAnswer]]:
    """Answers of "gco" and, for two labels, "maxflow" to each problem."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "problems.npz", Path(folder) / "answers.npz"
        stored: dict[str, object] = {"count": len(problems), "repeats": repeats}
        for k, problem in enumerate(problems):
            for name in ("unary", "edges", "weights", "diversity", "modes"):
                stored[f"{name}{k}"] = getattr(problem, name)
        np.savez(source, **stored)  # type: ignore[arg-type]
        script = Path(__file__).with_name("gco_peer.py")
        subprocess.run([interpreter, str(script), str(source), str(target)], check=True)
        with np.load(target) as answers:
            return [
                {
                    peer: PeerAnswer(answers[f"{peer}_labelings{k}"], answers[f"{peer}_seconds{k}"])
                    for peer in ("gco", "maxflow")
                    if f"{peer}_labelings{k}" in answers
                }
                for k in range(len(problems))
            ]


def best_bounds(
    problem: Problem, series: Sequence[np.ndarray], iterations: int = 300
) -> np.ndarray:
    """Lower bound of each of a series of unaries, from long runs of TRW-S."""
    energy, messages, bounds = problem.energy(), None, []
    for theta in series:
        result = trws(
            energy.with_unary(theta),
            max_iterations=iterations,
            tolerance=1e-4,
            init_messages=messages,
        )
        messages = result.messages
        bounds.append(result.lower_bound)
    return np.array(bounds)

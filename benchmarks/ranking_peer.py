"""Run one learner of pystruct 0.3.2 on one ranking problem; `ranking.py` calls this.

It runs under Python 3.6, where pystruct does, and so holds no newer syntax and imports nothing
of rerank but the model of pystruct's protocol, which it loads by its path.
"""

import importlib.util
import json
import sys
import time
import warnings

import numpy as np


def load_model(path):
    spec = importlib.util.spec_from_file_location("proposal_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Enough(Exception):
    """The learner has used its time."""


class Log:
    """CPU seconds and primal objective on a learner's way; what it costs is not counted."""

    def __init__(self, X, losses, starts, C, limit, path):
        self.X, self.losses, self.starts, self.C, self.limit = X, losses, starts, C, limit
        self.file = open(path, "w")
        rows = zip(starts[:-1], starts[1:])
        best = np.array([a + losses[a:b].argmin() for a, b in rows])
        self.best = best[np.repeat(np.arange(len(best)), np.diff(starts))]
        self.spent, self.start = 0.0, time.process_time()

    def objective(self, w):
        scores = self.X.dot(w)
        hinge = np.maximum.reduceat(scores - scores[self.best] + self.losses, self.starts[:-1])
        return 0.5 * w.dot(w) + self.C * hinge.sum()

    def __call__(self, learner, iteration=None):
        now = time.process_time()
        elapsed = now - self.start - self.spent
        print(json.dumps([elapsed, self.objective(np.array(learner.w))]), file=self.file)
        self.file.flush()
        self.spent += time.process_time() - now
        if elapsed > self.limit:
            raise Enough


def main():
    model_path, problem_path, learner, options, C, limit, log_path = sys.argv[1:]
    options = dict(json.loads(options), C=float(C), tol=1e-8)
    # scikit-learn and numpy of that age warn about each other.
    warnings.filterwarnings("ignore")
    from pystruct.learners import FrankWolfeSSVM, NSlackSSVM, OneSlackSSVM

    class LoggedNSlackSSVM(NSlackSSVM):
        """Logs after each solution of the QP, not only after each pass over the images."""

        def _solve_n_slack_qp(self, constraints, n_samples):
            objective = NSlackSSVM._solve_n_slack_qp(self, constraints, n_samples)
            self.logger(self)
            return objective

    module = load_model(model_path)
    data = np.load(problem_path)
    X, losses, starts = data["X"], data["losses"], data["starts"]
    rows = [slice(a, b) for a, b in zip(starts[:-1], starts[1:])]
    inputs = [X[part] for part in rows]
    labels = [module.ProposalLabel(int(losses[part].argmin()), losses[part]) for part in rows]
    options["logger"] = log = Log(X, losses, starts, options["C"], float(limit), log_path)
    model = module.ProposalModel()
    if learner == "NSlackSSVM":
        fitted = LoggedNSlackSSVM(model, max_iter=10000, **options)
    elif learner == "OneSlackSSVM":
        fitted = OneSlackSSVM(model, max_iter=1000000, **options)
    else:
        fitted = FrankWolfeSSVM(model, max_iter=1000000, random_state=0, **options)
    log.start = time.process_time()
    try:
        fitted.fit(inputs, labels)
    except Enough:
        pass


if __name__ == "__main__":
    main()

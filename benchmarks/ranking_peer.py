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


def main():
    model_path, problem_path, learner, C, limit, log_path = sys.argv[1:]
    C, limit = float(C), float(limit)
    # scikit-learn and numpy of that age warn about each other.
    warnings.filterwarnings("ignore")
    from pystruct.learners import FrankWolfeSSVM, NSlackSSVM, OneSlackSSVM

    module = load_model(model_path)
    data = np.load(problem_path)
    X, losses, starts = data["X"], data["losses"], data["starts"]
    rows = [slice(a, b) for a, b in zip(starts[:-1], starts[1:])]
    inputs = [X[part] for part in rows]
    labels = [module.ProposalLabel(int(losses[part].argmin()), losses[part]) for part in rows]
    image = np.repeat(np.arange(len(rows)), np.diff(starts))
    best = starts[:-1] + np.array([int(label) for label in labels])
    state = {"spent": 0.0, "start": 0.0}
    log = open(log_path, "w")

    def objective(w):
        scores = X.dot(w)
        hinge = np.maximum.reduceat(scores - scores[best][image] + losses, starts[:-1])
        return 0.5 * w.dot(w) + C * hinge.sum()

    def logger(fitted, iteration):
        now = time.process_time()
        elapsed = now - state["start"] - state["spent"]
        log.write(json.dumps([elapsed, objective(np.array(fitted.w))]) + "\n")
        log.flush()
        # What the log costs is not the learner's time.
        state["spent"] += time.process_time() - now
        if elapsed > limit:
            sys.exit(0)

    common = {"C": C, "logger": logger, "tol": 1e-8}
    model = module.ProposalModel()
    if learner == "NSlackSSVM":
        fitted = NSlackSSVM(model, max_iter=10000, **common)
    elif learner == "OneSlackSSVM":
        fitted = OneSlackSSVM(model, max_iter=1000000, **common)
    else:
        fitted = FrankWolfeSSVM(model, max_iter=1000000, random_state=0, **common)
    state["start"] = time.process_time()
    fitted.fit(inputs, labels)


if __name__ == "__main__":
    main()

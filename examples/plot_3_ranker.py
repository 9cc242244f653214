"""
Learn to choose, and promise not to harm
========================================

`Reranker` learns on labelled images whose maps come from a network that never saw them. Its
report says what the choice gains, cross-fitted; the gate keeps the network's labeling where it is
not confident.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from rerank import Reranker
from rerank.datasets import open_dataset

# %%
# Forty scenes, and maps with doubts that whole areas share.

scenes = open_dataset("scenes", split="train", n_images=40, size=(48, 64))
n_classes = scenes.n_classes
rng = np.random.default_rng(0)
images, labels, maps = [], [], []
for sample in scenes:
    truth = np.where(sample.labels == 255, 0, sample.labels)
    scores = 1.6 * np.eye(n_classes)[truth]
    for _ in range(30):
        row, column, label = rng.integers(0, (48, 64, n_classes))
        scores[row - 6 : row + 6, column - 8 : column + 8, label] += rng.normal(0, 1.6)
    images.append(sample.image)
    labels.append(sample.labels)
    maps.append((np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)).astype(np.float32))

# %%
# The settings make this example quick: fewer superpixels, proposals and candidates than the
# defaults.

settings = [
    "superpixels.n_segments=80",
    "crf.potts_weights=[0.5, 1.0]",
    "proposals.diversities=[0.1, 0.3]",
    "ranking.candidates=[0.003, 0.03]",
    "report.n_bootstrap=200",
]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reranker = Reranker(n_proposals=10, n_folds=3, settings=settings, random_state=0)
    reranker.fit(images[:32], maps[:32], labels[:32])
print(reranker.report_)

# %%
# On new images, a result says how much it was sure and which families of columns decided.

results = [reranker.predict(image, one) for image, one in zip(images[32:], maps[32:])]
families = sorted({name for result in results for name in result.contributions})
values = np.array([[r.contributions.get(name, 0.0) for name in families] for r in results])
figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
left = np.zeros(len(results))
for place, name in enumerate(families):
    part = np.clip(values[:, place], 0, None)
    axis.barh(range(len(results)), part, left=left, label=name)
    left += part
axis.set(
    yticks=range(len(results)),
    yticklabels=[f"image {index}" for index in range(32, 40)],
    xlabel="what speaks for the choice and against the network's own labeling",
)
axis.legend(fontsize=7, ncols=2)
plt.show()

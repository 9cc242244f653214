"""
Proposals and a choice, without training
========================================

A network's map is all that is needed: `propose` makes diverse labelings of it, the network's own
labeling among them, and chooses the one of the highest expected IoU.
"""

import matplotlib.pyplot as plt
import numpy as np

from rerank import propose
from rerank.datasets import colourize, open_dataset
from rerank.metrics import confusion_counts, image_iou, intersection_union

# %%
# A scene, and a map of it as an uncertain network would give it: scores of the true classes, and
# doubts that neighbouring pixels share.

scenes = open_dataset("scenes", split="val", n_images=8, size=(96, 128))
sample, n_classes = scenes[2], scenes.n_classes
rng = np.random.default_rng(4)
truth = np.where(sample.labels == 255, 0, sample.labels)
scores = 2.8 * np.eye(n_classes)[truth] + rng.normal(0, 0.5, (96, 128, n_classes))
for _ in range(60):
    row, column, label = rng.integers(0, (96, 128, n_classes))
    top, left = max(row - 9, 0), max(column - 12, 0)
    scores[top : row + 9, left : column + 12, label] += rng.normal(0, 1.6)
probabilities = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)

# %%
# The result holds the proposals with their scores and energies, and says why one was chosen.

result = propose(sample.image, probabilities)
print(result.kept)
print(len(result.proposals), "proposals by", sorted(set(result.proposals.generators)))

# %%
# Proposals differ in whole areas, not in single pixels. `disagreement` shows where the choice may
# be wrong.


def titled(name, labels):
    """The name with the image IoU, which needs the truth."""
    counts = intersection_union(confusion_counts(sample.labels, labels, n_classes))
    return f"{name}: {100 * image_iou(counts):.0f}", colourize(labels, scenes.palette)


by_score = np.argsort(-result.scores)
panels = [
    ("image", sample.image),
    ("truth", colourize(sample.labels, scenes.palette)),
    titled("network", result.proposals.labels(result.reference)),
    titled("choice", result.labels),
    *(titled(f"{n}. by score", result.proposals.labels(by_score[n - 1])) for n in (5, 12, 20)),
]
figure, axes = plt.subplots(2, 4, figsize=(10, 4.2), layout="constrained")
for axis, (title, picture) in zip(axes.flat, panels):
    axis.imshow(picture)
    axis.set_title(title)
drawn = axes.flat[7].imshow(result.disagreement, cmap="magma", vmin=0, vmax=1)
axes.flat[7].set_title("disagreement")
figure.colorbar(drawn, ax=axes.flat[7])
for axis in axes.flat:
    axis.axis("off")
plt.show()

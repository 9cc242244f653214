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

# %%
# A scene, and a map of it as an uncertain network would give it: the truth, blurred in classes,
# with one class that it takes for another in a part of the image.

scenes = open_dataset("scenes", split="val", n_images=8, size=(96, 128))
sample, n_classes = scenes[3], scenes.n_classes
rng = np.random.default_rng(0)
truth = np.where(sample.labels == 255, 0, sample.labels)
scores = 2.0 * np.eye(n_classes)[truth]
for _ in range(30):  # doubts that neighbours share
    row, column, label = rng.integers(0, (96, 128, n_classes))
    scores[row - 12 : row + 12, column - 16 : column + 16, label] += rng.normal(0, 1.8)
probabilities = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)

# %%
# The result holds the proposals with their scores and energies, and says why one was chosen.

result = propose(sample.image, probabilities)
print(result.kept)
print(len(result.proposals), "proposals by", sorted(set(result.proposals.generators)))

# %%
# Proposals differ in whole objects, not in single pixels. `disagreement` shows where the choice
# may be wrong.

order = np.argsort(-result.scores)
figure, axes = plt.subplots(2, 4, figsize=(10, 4.2), layout="constrained")
panels = [
    ("image", sample.image),
    ("truth", colourize(sample.labels, scenes.palette)),
    ("network", colourize(result.proposals.labels(result.reference), scenes.palette)),
    ("choice", colourize(result.labels, scenes.palette)),
    *(
        (f"{place + 1}. by score", colourize(result.proposals.labels(m), scenes.palette))
        for place, m in ((9, order[9]), (19, order[19]), (29, order[29]))
    ),
]
for axis, (title, picture) in zip(axes.flat, panels):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
drawn = axes.flat[7].imshow(result.disagreement, cmap="magma", vmin=0, vmax=1)
axes.flat[7].set_title("disagreement")
axes.flat[7].axis("off")
figure.colorbar(drawn, ax=axes.flat[7])
plt.show()

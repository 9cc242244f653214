"""
What DivMBest does as diversity grows
=====================================

DivMBest makes the next labeling the best one of an energy in which each superpixel pays for
having a class that an earlier labeling gave it. A small penalty gives near twins, a large one
nonsense.
"""

import matplotlib.pyplot as plt
import numpy as np

from rerank.crf import PottsEnergy
from rerank.datasets import colourize, open_dataset
from rerank.metrics import image_iou, region_histogram, region_intersection_union
from rerank.potentials import contrast_potts_weights, region_probabilities, unary_from_probabilities
from rerank.proposals import div_mbest
from rerank.superpixels import adjacency_graph, slic_superpixels, to_pixels

# %%
# A scene, superpixels, and class probabilities with mistakes that whole areas share.

scenes = open_dataset("scenes", split="val", n_images=8, size=(96, 128))
sample, n_classes = scenes[5], scenes.n_classes
rng = np.random.default_rng(1)
truth = np.where(sample.labels == 255, 0, sample.labels)
scores = 1.6 * np.eye(n_classes)[truth]
for _ in range(40):
    row, column, label = rng.integers(0, (96, 128, n_classes))
    scores[row - 10 : row + 10, column - 14 : column + 14, label] += rng.normal(0, 1.5)
probabilities = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)

superpixels = slic_superpixels(sample.image, n_segments=300)
graph = adjacency_graph(superpixels, sample.image)
unary = unary_from_probabilities(region_probabilities(probabilities, superpixels), graph.areas)
energy = PottsEnergy(unary, graph.edges, contrast_potts_weights(graph, weight=1.5))

# %%
# For each diversity: how much the proposals differ from MAP, what they cost, and the best of
# them. The oracle is highest in between.

histogram = region_histogram(superpixels, sample.labels, n_classes, 255)
diversities = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
found = {value: div_mbest(energy, n_proposals=10, diversity=value) for value in diversities}
oracle, apart = [], []
for made in found.values():
    counts = region_intersection_union(histogram, made.labelings.astype(np.int64))
    oracle.append(image_iou(counts).max())
    apart.append(
        np.average(made.labelings != made.labelings[0], axis=1, weights=graph.areas).mean()
    )

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.semilogx(diversities, 100 * np.array(oracle), "o-")
left.set(xlabel="diversity", ylabel="IoU of the best of 10, points")
right.semilogx(diversities, 100 * np.array(apart), "o-", color="tab:orange")
right.set(xlabel="diversity", ylabel="pixels that differ from MAP, %")
for axis in (left, right):
    axis.grid(alpha=0.3)
plt.show()

# %%
# The first proposals at a small, a good and a large diversity.

figure, axes = plt.subplots(3, 5, figsize=(10, 4.8), layout="constrained")
for row, value in zip(axes, (0.02, 0.2, 1.6)):
    for axis, labeling in zip(row, found[value].labelings):
        axis.imshow(colourize(to_pixels(labeling, superpixels), scenes.palette))
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"diversity {value:g}")
axes[0, 0].set_title("MAP")
plt.show()

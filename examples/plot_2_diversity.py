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
# Scenes with superpixels, and maps with doubts that neighbouring pixels share.

scenes = open_dataset("scenes", split="val", n_images=12, size=(96, 128))
n_classes = scenes.n_classes
rng = np.random.default_rng(1)


def problem_of(sample):
    """The energy of a scene, its superpixels with their areas, and their true classes."""
    truth = np.where(sample.labels == 255, 0, sample.labels)
    scores = 1.6 * np.eye(n_classes)[truth]
    for _ in range(60):
        row, column, label = rng.integers(0, (96, 128, n_classes))
        top, left = max(row - 9, 0), max(column - 12, 0)
        scores[top : row + 9, left : column + 12, label] += rng.normal(0, 1.8)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    superpixels = slic_superpixels(sample.image, n_segments=250)
    graph = adjacency_graph(superpixels, sample.image)
    regions = region_probabilities(probabilities, superpixels)
    unary = unary_from_probabilities(regions, graph.areas)
    energy = PottsEnergy(unary, graph.edges, contrast_potts_weights(graph, weight=1.0))
    histogram = region_histogram(superpixels, sample.labels, n_classes, 255)
    return energy, superpixels, graph.areas, histogram


problems = [problem_of(sample) for sample in scenes]

# %%
# For each diversity: the best of ten proposals, and how much they differ from MAP. The oracle is
# highest in between: proposals must differ, and must be probable.

diversities = [0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
oracle, apart = np.zeros((2, len(diversities), len(problems)))
for place, diversity in enumerate(diversities):
    for index, (energy, _, areas, histogram) in enumerate(problems):
        labelings = div_mbest(energy, n_proposals=10, diversity=diversity).labelings.astype(int)
        oracle[place, index] = image_iou(region_intersection_union(histogram, labelings)).max()
        apart[place, index] = np.average((labelings != labelings[0]).mean(axis=0), weights=areas)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for axis, values, label in (
    (axes[0], oracle, "IoU of the best of 10, points"),
    (axes[1], apart, "pixels that differ from MAP, %"),
):
    axis.semilogx(diversities, 100 * values.mean(axis=1), "o-")
    axis.set(xlabel="diversity", ylabel=label)
    axis.grid(alpha=0.3)
plt.show()

# %%
# The first proposals of a scene at a small, a good and a large diversity.

energy, superpixels, _, _ = problems[5]
figure, axes = plt.subplots(3, 5, figsize=(10, 4.8), layout="constrained")
for row, diversity in zip(axes, (0.01, 0.1, 1.6)):
    for axis, labeling in zip(row, div_mbest(energy, 5, diversity).labelings):
        axis.imshow(colourize(to_pixels(labeling, superpixels), scenes.palette))
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"diversity {diversity:g}")
axes[0, 0].set_title("MAP")
plt.show()

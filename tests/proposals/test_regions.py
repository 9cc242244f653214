from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.proposals import ProposalContext, label_components, merge_hierarchy

CHAIN = np.stack([np.arange(5), np.arange(1, 6)], axis=1)


def test_components_are_connected_and_of_one_label(grid_context):
    context = grid_context(np.random.default_rng(0), 3)
    labeling = context.map_result.labeling
    component = label_components(labeling, context.energy.edges)
    for number in range(component.max() + 1):
        assert len(set(labeling[component == number])) == 1
    left, right = context.energy.edges.T
    np.testing.assert_array_equal(
        component[left] == component[right], labeling[left] == labeling[right]
    )


def test_merges_the_most_alike_first():
    features = np.array([[0.0], [0.1], [5.0], [5.3], [9.0], [9.2]])
    hierarchy = merge_hierarchy(features, np.ones(6), CHAIN)
    assert hierarchy.regions(6).tolist() == [0, 1, 2, 3, 4, 5]
    assert hierarchy.regions(5).tolist() == [0, 0, 1, 2, 3, 4]
    assert hierarchy.regions(3).tolist() == [0, 0, 1, 1, 2, 2]
    assert hierarchy.regions(2).tolist() == [0, 0, 1, 1, 1, 1]
    assert hierarchy.regions(1).tolist() == [0] * 6
    assert hierarchy.regions(99).tolist() == [0, 1, 2, 3, 4, 5]


def naive_merges(features, areas, edges, n_regions):
    """Ward's merging by recomputing every cost in every step."""
    region = np.arange(len(features))
    while len(set(region)) > n_regions:
        best = (np.inf, 0, 0)
        for i, j in edges:
            a, b = region[i], region[j]
            if a == b:
                continue
            sizes = [areas[region == r].sum() for r in (a, b)]
            means = [
                (areas[region == r, None] * features[region == r]).sum(axis=0) / size
                for r, size in zip((a, b), sizes)
            ]
            cost = sizes[0] * sizes[1] / sum(sizes) * ((means[0] - means[1]) ** 2).sum()
            best = min(best, (cost, a, b))
        region[region == best[2]] = best[1]
    return np.unique(region, return_inverse=True)[1]


def test_agrees_with_merging_by_recomputing(grid_context):
    rng = np.random.default_rng(1)
    context = grid_context(rng, 3, height=5, width=4)
    features, areas = rng.normal(size=(20, 3)), rng.random(20) + 0.2
    hierarchy = merge_hierarchy(features, areas, context.energy.edges)
    for n_regions in (15, 8, 3):
        expected = naive_merges(features, areas, context.energy.edges, n_regions)
        found = hierarchy.regions(n_regions)
        np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_parts_that_do_not_touch_are_never_joined():
    hierarchy = merge_hierarchy(np.zeros((4, 1)), np.ones(4), np.array([[0, 1], [2, 3]]))
    assert hierarchy.regions(1).tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="n_regions must be at least 1"):
        hierarchy.regions(0)


def test_context_merges_by_features_where_given(grid_context):
    plain = grid_context(np.random.default_rng(2), 3)
    columns = np.arange(63) % 7
    striped = ProposalContext(plain.energy, features=np.stack([columns * 10.0, 0 * columns], 1))
    region = striped.regions(7)
    np.testing.assert_array_equal(region[:, None] == region, columns[:, None] == columns)
    assert (plain.regions(7) != region).any()
    assert plain.regions("superpixels").tolist() == list(range(63))
    with pytest.raises(InputError, match="regions must be 'superpixels'"):
        plain.regions("blobs")

from dataclasses import replace

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.evidence import ImageEvidence, ImageRegions, SegNetMap
from rerank.superpixels import adjacency_graph

SUPERPIXELS = np.array([[0, 0, 1], [2, 2, 1]])


def make_regions():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    return ImageRegions(SUPERPIXELS, adjacency_graph(SUPERPIXELS, image), image_id="moo")


def test_checked_regions_are_the_same_in_one_form():
    regions = make_regions()
    found = replace(regions, graph=replace(regions.graph, areas=[2, 2, 2])).checked()
    assert len(found) == 3 and found.graph.areas.dtype == np.float64
    assert found.graph.edges.dtype == np.int32
    np.testing.assert_array_equal(found.graph.edges, regions.graph.edges)
    np.testing.assert_array_equal(found.graph.contrast, regions.graph.contrast)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"contrast": None}, "moo: the graph must have a contrast"),
        ({"areas": np.array([2.0, 0.0, 2.0])}, "moo: .* area above 0"),
        ({"boundary_length": np.ones(2)}, r"moo: boundary_length must be \(3,\)"),
        ({"edges": np.array([[0, 1], [0, 2], [1, 3]])}, "moo: edges must join regions 0..2"),
    ],
)
def test_bad_graphs_are_refused(changes, message):
    regions = make_regions()
    with pytest.raises(InputError, match=message):
        replace(regions, graph=replace(regions.graph, **changes)).checked()


def test_evidence_must_fit_the_regions():
    regions, p = make_regions(), np.full((3, 2), 0.5, dtype=np.float32)
    found = ImageEvidence(p, fused_posterior=p).checked(regions, 2)
    assert found.region_probabilities.dtype == found.fused_posterior.dtype == np.float64
    with pytest.raises(InputError, match=r"moo: fused_posterior must be \(3, 2\)"):
        ImageEvidence(p, fused_posterior=p[1:]).checked(regions, 2)
    with pytest.raises(InputError, match=r"moo: cooccurrence must be \(2, 2\)"):
        ImageEvidence(p, cooccurrence=np.zeros((3, 3))).checked(regions, 2)
    with pytest.raises(InputError, match="moo: edge_map must be of the size"):
        ImageEvidence(p, edge_map=np.zeros((3, 3), bool)).checked(regions, 2)


def test_a_segnet_map_is_carried_to_regions():
    cells = np.array([[[0.8, 0.2], [0.4, 0.6]]])
    found = SegNetMap(cells, np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])).of_regions()
    np.testing.assert_allclose(found, [[0.8, 0.2], [0.4, 0.6], [0.8, 0.2]])

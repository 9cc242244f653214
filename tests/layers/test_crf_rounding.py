"""Rounding to a labeling: never of more energy, and what it reads (Proposition 2.1)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rerank.layers import project_simplex

H, W, L = 3, 4, 3
ALL_VALID = np.ones((H, W), bool)
Q = st.tuples(st.integers(0, 10**6), st.sampled_from([0.3, 3.0]), st.booleans(), st.booleans())


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(case=Q)
def test_rounding_never_raises_the_energy(case, inputs, layer):
    seed, scale, sharp, masked = case
    crf = layer(seed, scale)
    logits, image = inputs(seed, batch=2)
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, L, H, W, generator=generator, dtype=torch.float64)
    q = project_simplex(q * 3, dim=1) if sharp else q.softmax(dim=1)
    valid = torch.rand(2, H, W, generator=generator) < 0.7 if masked else None
    labels = crf.round_labeling(q, logits, image, valid)
    before = crf.energy(q, logits, image, valid)
    after = crf.energy(labels, logits, image, valid)
    assert (after <= before + 1e-9 * (1 + before.abs())).all()
    if valid is not None:
        assert (labels[~valid] == 255).all()


def test_rounding_keeps_labelings_that_no_single_pixel_can_better(
    inputs, layer, pair_matrix, explicit_energy
):
    crf = layer(scale=1.0)
    logits, image = inputs()
    best, least = None, np.inf
    matrix = pair_matrix(crf, image[0], ALL_VALID)
    # A strong unary makes the exhaustive search short: two labels at six pixels, one elsewhere.
    for choice in itertools.product(range(2), repeat=6):
        labels = logits[0].argmax(dim=0).clone()
        order = logits[0].argsort(dim=0, descending=True)
        for i, c in enumerate(choice):
            labels.view(-1)[i] = order.view(L, -1)[c, i]
        indicator = nn.functional.one_hot(labels, L).permute(2, 0, 1).double().numpy()
        energy = explicit_energy(crf, indicator, logits[0].numpy(), matrix, ALL_VALID)
        if energy < least:
            best, least = labels, energy
    assert best is not None
    start = nn.functional.one_hot(best, L).permute(2, 0, 1)[None].double()
    rounded = crf.round_labeling(start, logits, image)
    assert crf.energy(rounded, logits, image).item() <= least + 1e-9


@pytest.mark.parametrize(
    "kinds",
    [
        dict(),
        dict(bilateral="none"),
        dict(spatial="none"),
        dict(spatial="gaussian", bilateral="gaussian"),
    ],
)
def test_rounding_reads_each_pixels_cost_from_all_others(kinds, inputs, layer):
    crf = layer(**kinds)
    logits, image = inputs()
    labels = crf.round_labeling(crf(logits, image), logits, image)
    # At the last pixel visited all others hold their final labels: no other label is better.
    energies = []
    for label in range(L):
        changed = labels.clone()
        changed[0, -1, -1] = label
        energies.append(crf.energy(changed, logits, image).item())
    assert labels[0, -1, -1] == int(np.argmin(energies))

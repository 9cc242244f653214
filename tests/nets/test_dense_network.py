from types import SimpleNamespace

import numpy as np
import pytest

from rerank.errors import ConfigError, DataError, InputError
from rerank.nets import (
    DenseNetwork,
    DenseNetworkSettings,
    dense_network_training,
    fit_dense_network,
    keep_activations,
)

QUICK = {"architecture": "small", "size": (24, 32), "epochs": 14, "batch_size": 4}


def samples(n=8, seed=0):
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        labels = np.repeat(np.repeat(rng.integers(0, 3, (3, 4)), 10, 0), 10, 1).astype(np.uint8)
        made.append(SimpleNamespace(image=colours[labels], labels=labels))
    return made


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"loss": "rmi(factor=2)"},
        {"loss": "0.5 ce + 0.5 neuro(first_steps=50, batch_size=32)"},
        {"crf_layer": True, "crf_epochs": 1},
        {"train_backbone": True, "loss": "bce"},
    ],
)
def test_probabilities_of_images_it_never_saw(changed):
    settings = DenseNetworkSettings(**{**QUICK, **changed})
    source = fit_dense_network(samples(), 3, settings)
    assert len(source.history) == 1 + settings.crf_layer
    right = []
    for sample in samples(4, seed=1):
        maps = source.predict_proba(sample.image)
        assert maps.shape == (30, 40, 3) and maps.dtype == np.float32
        np.testing.assert_allclose(maps.sum(2), 1.0, rtol=1e-5)
        assert maps.min() >= 0
        right.append((maps.argmax(2) == sample.labels).mean())
    assert np.mean(right) > 0.7


@pytest.mark.parametrize(
    "changed", [{}, {"crf_layer": True, "crf_epochs": 1}, {"train_backbone": True}]
)
def test_a_source_goes_through_arrays(changed):
    settings = DenseNetworkSettings(**{**QUICK, "epochs": 2, **changed})
    source = fit_dense_network(samples(), 3, settings)
    arrays = source.to_arrays()
    assert any("backbone." in name for name in arrays) == settings.train_backbone
    again = DenseNetwork.from_arrays(arrays, 3, settings)
    image = samples()[3].image
    assert np.array_equal(source.predict_proba(image), again.predict_proba(image))
    arrays.pop(next(iter(arrays)))
    with pytest.raises(DataError, match="1 are missing or too many"):
        DenseNetwork.from_arrays(arrays, 3, settings)
    with pytest.raises(DataError, match="not the arrays"):
        DenseNetwork.from_arrays(source.to_arrays(), 4, settings)


def test_folds_share_kept_activations():
    settings = DenseNetworkSettings(**{**QUICK, "epochs": 2})
    made = samples()
    kept = keep_activations(made, 3, settings)
    some = kept.subset(np.array([5, 0, 2]))
    assert len(some) == 3 and len(kept) == 8 and some.images is kept.images
    alone = fit_dense_network([made[5], made[0], made[2]], 3, settings)
    shared = fit_dense_network(some, 3, settings)
    for name, value in alone.to_arrays().items():
        assert np.array_equal(value, shared.to_arrays()[name]), name
    again = kept.subset(np.array([1, 5])).subset(np.array([1]))
    assert np.array_equal(again.inputs(0).images[0].permute(1, 2, 0).numpy(), kept.images[5])
    for wrong in ([8], [-1], []):
        with pytest.raises(InputError, match=r"0\.\.7"):
            kept.subset(np.array(wrong, int))


def test_equal_seeds_give_equal_probabilities():
    image = samples()[0].image
    maps = [
        fit_dense_network(
            samples(), 3, DenseNetworkSettings(**{**QUICK, "epochs": 2, "random_state": seed})
        ).predict_proba(image)
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(maps[0], maps[1]) and not np.array_equal(maps[0], maps[2])


class Interrupted(Exception):
    pass


def test_an_interrupted_fit_goes_on(tmp_path):
    settings = DenseNetworkSettings(**{**QUICK, "epochs": 2, "crf_layer": True, "crf_epochs": 2})
    expected = fit_dense_network(samples(), 3, settings).to_arrays()
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit_dense_network(samples(), 3, settings, progress=stop, checkpoint=tmp_path / "a")
    found = fit_dense_network(
        samples(), 3, settings, progress=seen.append, checkpoint=tmp_path / "a"
    ).to_arrays()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert len(seen) <= 7 + 4


def test_a_trained_backbone_sees_images_at_the_size_it_is_asked_at(monkeypatch):
    seen = []
    made = dense_network_training.AugmentedImages

    def noted(samples, *rest):
        seen.extend((sample.image.shape, sample.labels.shape) for sample in samples)
        return made(samples, *rest)

    monkeypatch.setattr(dense_network_training, "AugmentedImages", noted)
    settings = DenseNetworkSettings(**{**QUICK, "epochs": 2, "train_backbone": True})
    fit_dense_network(samples(3), 3, settings)
    assert seen == [((24, 32, 3), (24, 32))] * 3


def test_unusable_arguments():
    with pytest.raises(ConfigError, match="size 24x32 is too small for squeezenet1_0"):
        DenseNetworkSettings(size=(24, 32))
    with pytest.raises(ConfigError, match="vgg"):
        DenseNetworkSettings(architecture="vgg")
    with pytest.raises(ConfigError, match="size"):
        DenseNetworkSettings(size=(0, 5))
    with pytest.raises(ConfigError, match="epochs"):
        DenseNetworkSettings(epochs=1)
    with pytest.raises(ConfigError, match="loss must be"):
        fit_dense_network(samples(), 3, DenseNetworkSettings(**{**QUICK, "loss": "dice"}))
    kept = keep_activations(samples(), 3, DenseNetworkSettings(**QUICK))
    with pytest.raises(InputError, match=r"kept at \(24, 32\)"):
        fit_dense_network(kept, 3, DenseNetworkSettings(**{**QUICK, "size": (12, 16)}))
    with pytest.raises(InputError, match="frozen"):
        fit_dense_network(kept, 3, DenseNetworkSettings(**{**QUICK, "train_backbone": True}))

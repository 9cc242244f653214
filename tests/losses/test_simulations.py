import numpy as np
import pytest

from rerank.errors import InputError
from rerank.losses.simulations import fit_discontinuity, simulate_flips
from rerank.metrics import confusion_counts, iou_from_counts


def image():
    labels = np.repeat(np.array([[0, 0, 2], [2, 5, 5]], dtype=np.uint8), 4, axis=1)
    labels[0, 0] = 255
    return labels


def test_flips_give_the_iou_of_flipped_images():
    labels = image()
    flips = simulate_flips(labels, 6, random_state=3)
    rng = np.random.default_rng(3)
    _present, truth = np.unique(labels[labels != 255], return_inverse=True)
    truth = rng.permutation(truth)
    wrong = (truth + rng.integers(1, 3, len(truth))) % 3
    assert (wrong != truth).all()
    for t in range(0, len(truth) + 1, 5):
        prediction = np.where(np.arange(len(truth)) < t, wrong, truth)
        iou = iou_from_counts(confusion_counts(truth, prediction, 3))
        assert flips.iou[t] == pytest.approx(iou.mean)
        if (iou.per_class > 0).all():
            assert flips.uoi[t] == pytest.approx((1 / iou.per_class).mean())
        else:
            assert flips.uoi[t] == np.inf


def test_iou_falls_from_one_to_zero_and_uoi_rises_ever_faster():
    """Fig. 2 of Cogswell et al. 2014: IoU is convex in the errors, UOI's slope grows."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 4, (5, 7)), 20, axis=0), 20, axis=1)
    flips = simulate_flips(labels, 4)
    assert flips.n_flipped[-1] == labels.size
    assert flips.iou[0] == flips.uoi[0] == 1.0
    assert flips.iou[-1] == 0.0 and flips.uoi[-1] == np.inf
    assert (np.diff(flips.iou) < 0).all()
    quarters = np.arange(4) * labels.size // 4
    assert (np.diff(flips.iou[quarters], n=2) > 0).all()
    assert (np.diff(flips.uoi[quarters], n=2) > 0).all()


def test_flip_errors_name_what_came():
    with pytest.raises(InputError, match="at least 2 classes to flip between, got 1"):
        simulate_flips(np.zeros((3, 4), int), 3)
    with pytest.raises(InputError, match=r"0\.\.2 or 255 \(void\), found 5"):
        simulate_flips(image(), 3)


@pytest.mark.slow
def test_a_discontinuous_function_and_its_derivative_are_learned():
    """Section 4.2 and Fig. 2 of Nagendar et al. 2018."""
    fit = fit_discontinuity()
    assert fit.values[[0, 999, 1000, 2000]] == pytest.approx([2.0, 1.001, 1.1, 2.1])
    away = np.abs(fit.x - 1) > 0.1
    assert np.abs(fit.fitted_values - fit.values)[away].max() < 0.03
    assert np.abs(fit.fitted_slopes - fit.slopes)[away].mean() < 0.1
    assert (np.sign(fit.fitted_slopes) == fit.slopes)[away].all()
    # At the jump itself, says the paper, the approximate derivative lies between the two.
    assert np.isnan(fit.slopes[1000]) and -1.05 < fit.fitted_slopes[1000] < 1.05

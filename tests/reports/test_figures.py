import io

import numpy as np
import pytest
from PIL import Image

from rerank.metrics import oracle_curve
from rerank.reports import draw_bars, draw_class_iou, draw_oracle_curve, draw_pictures, to_png


def test_a_figure_is_a_png_and_always_the_same() -> None:
    def drawn() -> bytes:
        return to_png(draw_bars(["a"], [50.0], [48.0], [53.0], 49.0, "points"), dpi=50)

    picture = drawn()
    assert picture.startswith(b"\x89PNG") and picture == drawn()
    assert Image.open(io.BytesIO(picture)).size == (375, 64)


def test_bars_and_their_limits() -> None:
    figure = draw_bars(["a", "b"], [50.0, 60.0], [45.0, 58.0], [52.0, 65.0], 40.0, "points")
    (axes,) = figure.axes
    # 15% of the 25 points between the baseline and the highest end, on both sides.
    assert axes.get_xlim() == pytest.approx((36.25, 68.75))
    assert [bar.get_width() for bar in axes.patches] == [50.0, 60.0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert axes.patches[0].get_y() > axes.patches[1].get_y()
    assert draw_bars(["a"], [0.5], [0.2], [0.6], 0.3, "").axes[0].get_xlim()[0] == 0.0


def test_oracle_curves_in_points() -> None:
    intersections = np.array([[[2, 4], [6, 3], [1, 8]], [[5, 5], [2, 2], [9, 1]]])
    curve = oracle_curve(intersections, np.full((2, 3, 2), 10))
    figure = draw_oracle_curve(curve, {"MAP": (0.4, 0.3)}, "title")
    assert len(figure.axes) == 2
    for axes, by_image, level in zip(
        figure.axes, (curve.image_oracle_miou, curve.image_oracle_image_iou), (40, 30)
    ):
        assert axes.get_xlim() == (1, 3)
        _, drawn, line = axes.get_lines()
        np.testing.assert_allclose(drawn.get_ydata(), 100 * by_image)
        np.testing.assert_allclose(line.get_ydata(), level)


def test_a_class_that_is_absent_has_no_bar() -> None:
    figure = draw_class_iou(["sky", "cow"], {"MAP": np.array([0.5, np.nan])})
    assert [bar.get_height() for bar in figure.axes[0].patches] == [50.0, 0.0]


def test_pictures_stand_under_their_names() -> None:
    pictures = {name: np.full((4, 6, 3), k, np.uint8) for k, name in enumerate("abcde")}
    figure = draw_pictures(pictures, columns=4, width=2.0)
    assert [axes.get_title() for axes in figure.axes] == list("abcde")
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), pictures["d"])
    assert figure.get_size_inches() == pytest.approx((8.0, 2 * (2.0 * 4 / 6 + 0.3)))

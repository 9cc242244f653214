import numpy as np
import pytest

from rerank.errors import InputError
from rerank.features import ColumnSettings, classification_features, paper_columns

CLASSES = ("bg", "cow", "dog")
SCORES = np.array([0.5, -2.0])
SIZES = np.array([1.0, 0.5, -0.5, -1.0, -1.0, -2.0, -3.0, -4.0])
LIMITS = np.array([[0.1, 0.2, 0.3, 0.4], [0.05, 0.1, 0.2, 0.6]])
#: All background; a cow of 0.3; a dog of 0.15 and a cow of 0.05.
SHARES = np.array([[1.0, 0.0, 0.0], [0.7, 0.3, 0.0], [0.8, 0.05, 0.15]])


def table():
    return classification_features(
        SCORES, SIZES, LIMITS, SHARES, background=0, classes=CLASSES, image_id="moo"
    )


def test_scores_alone():
    t = table()
    assert t.shape == (3, 14 * 2)
    assert t.column("classification.score[cow]").tolist() == [0.5] * 3
    assert t.column("classification.size_score_60[cow]").tolist() == [-0.5] * 3
    assert t.column("classification.size_score_20[dog]").tolist() == [-1.0] * 3
    assert set(t.constant_columns(within_images=True)) >= set(t.columns[:10])


def test_scores_crossed_with_claims():
    t = table()
    assert t.column("classification.score_painted[dog]").tolist() == [0, 0, -2]
    assert t.column("classification.denied[dog]").tolist() == [0, 0, 2]
    assert t.column("classification.denied[cow]").tolist() == [0, 0, 0]
    assert t.column("classification.missed[cow]").tolist() == [0.5, 0, 0]
    # A cow of exactly the third threshold claims it; one of 0.05 claims none.
    assert t.column("classification.size_score_claimed_60[cow]").tolist() == [0, -0.5, 0]
    assert t.column("classification.size_score_claimed_80[cow]").tolist() == [0, 0, 0]
    assert t.column("classification.size_score_claimed_40[dog]").tolist() == [0, 0, -2]
    assert t.column("classification.size_denied[cow]").tolist() == [0, 0.5, 0]
    assert t.column("classification.size_denied[dog]").tolist() == [0, 0, 3]
    assert t.column("classification.size_missed[cow]").tolist() == [1.5, 0, 1.5]


def test_the_papers_columns_are_one_for_each_score():
    kept = paper_columns(table())
    assert kept.shape == (3, 2 + 4 * 2)
    assert kept.column("classification.score_painted[dog]").tolist() == [0, 0, -2]
    assert kept.column("classification.size_score_claimed_60[cow]").tolist() == [0, -0.5, 0]
    voc = classification_features(
        np.ones(20), np.ones(80), np.full((20, 4), 0.1), np.full((2, 21), 1 / 21), background=0
    )
    assert (voc.shape[1], paper_columns(voc).shape[1]) == (280, 100)


def test_the_setting_chooses_the_columns_of_the_group(make_case):
    case = make_case()
    crossed = case.table("classification")
    paper = case.table(("classification", "summary"), ColumnSettings(classification="paper"))
    assert paper.select("classification").columns == paper_columns(crossed).columns
    np.testing.assert_array_equal(paper.select("summary").values, case.table("summary").values)


def test_without_background_all_classes_have_columns():
    t = classification_features(np.ones(3), np.ones(12), np.full((3, 4), 0.1), SHARES)
    assert t.shape == (3, 42)
    assert t.column("classification.score_painted[0]").tolist() == [1, 1, 1]


def test_a_share_of_zero_claims_nothing_at_a_threshold_of_zero():
    t = classification_features(np.ones(3), np.ones(12), np.zeros((3, 4)), SHARES)
    assert t.column("classification.size_score_claimed_20[1]").tolist() == [0, 1, 1]


def test_bad_inputs_are_refused():
    with pytest.raises(InputError, match="scores must be \\(2,\\)"):
        classification_features(np.ones(3), SIZES, LIMITS, SHARES, background=0)
    with pytest.raises(InputError, match="size_scores must be \\(8,\\)"):
        classification_features(SCORES, SIZES[1:], LIMITS, SHARES, background=0)
    with pytest.raises(InputError, match="thresholds must be"):
        classification_features(SCORES, SIZES, LIMITS[1:], SHARES, background=0)
    with pytest.raises(InputError, match="proposal_shares"):
        classification_features(SCORES, SIZES, LIMITS, SHARES[0], background=0)

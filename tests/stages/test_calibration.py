"""The calibration of a run: what is written is what the parts on arrays give, out of fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerank.applications.prediction_files import predict_files
from rerank.applications.runs import open_models
from rerank.datasets import open_dataset
from rerank.engine.folds import ALL, FINAL
from rerank.engine.scheduler import run_graph
from rerank.engine.stage import read_image
from rerank.errors import InputError
from rerank.metrics import chosen_counts, corpus_iou, image_iou
from rerank.ranking import ExpectedCounts, Gate, choose_corpus
from rerank.stages.calibration import Calibration, joint_choice, joint_choice_in_blocks
from rerank.stages.judged_images import Judged, candidate_beliefs, read_judged
from rerank.stages.oracle import population_parts
from rerank.stages.run_data import WeightFiles


def test_what_is_written(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    job = graph.job("calibration")
    judged = {part.name: read_judged(job, part.name) for part in job.parts}
    folds = [part.name for part in job.folds]
    with graph.job("pages").open("calibration", ALL) as file:
        stored = Calibration.load(file["model"], graph.recipe)
        choices = {name: file[f"choices/{name}/choice"][()] for name in judged}
        joint = {
            name: (group["choice"][()], float(group["expected_iou"][()]))
            for name, group in file["populations"].items()
        }
    whole = Judged.join([judged[name] for name in folds])
    own = Gate(statistic="margin_per_change", reference="map").fit(
        whole.scores, image_iou(whole.counts), whole.network, whole.change
    )
    assert own.state() == stored.gate.state()
    # 12 images are too few for a promise, so that MAP is kept; it is the first proposal.
    assert not own.promised_ and "takes 22" in own.explanation_
    assert all((choice == 0).all() for choice in choices.values())
    assert set(joint) == {"evaluation", "cross_fitted"}
    index = candidate_beliefs(graph.recipe).index(stored.beliefs)
    expected = judged[FINAL].expected[index]
    best = choose_corpus(*expected, [judged[FINAL].scores.argmax(axis=1)])
    np.testing.assert_array_equal(best.choice, joint["evaluation"][0])
    assert joint["evaluation"][1] == pytest.approx(best.expected_iou)
    assert len(joint["cross_fitted"][0]) == sum(
        len(job.ids(name)) for name in population_parts(job, "cross_fitted")
    )


def test_expected_counts_lie_between_those_of_certain_truths(finished: Path, make_graph) -> None:
    job = make_graph(finished).job("calibration")
    judged = read_judged(job, FINAL)
    sharp = judged.expected[0]
    assert (sharp.intersections <= sharp.unions + 1e-6).all()
    with job.open("superpixels", FINAL) as file:
        areas = read_image(file, 0, ("areas",))["areas"]
    # Over all classes, intersections and unions of two labelings share out twice the image.
    total = (sharp.intersections[0] + sharp.unions[0]).sum(axis=1)
    np.testing.assert_allclose(total, 2 * areas.sum())
    assert judged.change.shape == judged.scores.shape
    assert (judged.change[np.arange(len(judged.scores)), judged.network] == 0).all()


def test_an_enabled_gate_decides_predictions_and_says_so(
    copy: Path, make_graph, tmp_path: Path
) -> None:
    images = [s.image for s in open_dataset("scenes", None, "val", n_images=4, size=(64, 48))]
    open_gate = ("gate.enabled=true", "gate.level=0.9", "gate.delta=0.5")
    kept: dict[str, list[int]] = {}
    for name, overrides in (("closed", ("gate.enabled=true",)), ("open", open_gate)):
        graph = make_graph(copy, overrides)
        run_graph(graph)
        with graph.job("pages").open("calibration", ALL) as file:
            promise = Calibration.load(file["model"], graph.recipe).gate
        models = models_of(graph)
        results = [models.predict(image) for image in images]
        kept[name] = [result.chosen for result in results]
        for result in results:
            assert result.conformal_set and set(result.conformal_set) <= set(range(5))
            assert result.confidence >= 0
            if result.chosen != result.preferred:
                assert "kept by the gate" in result.kept
        assert promise.promised_ == (name == "open")
        if name == "open":
            assert kept[name] == [result.preferred for result in results]
    assert kept["closed"] == [0] * 4


def models_of(graph):
    """The models of a finished graph."""
    from contextlib import contextmanager

    from rerank.prediction import FinalModels
    from rerank.stages.features import Classes

    @contextmanager
    def open_stage(name: str):
        part = ALL if name in ("ranking", "calibration") else FINAL
        with graph.store.open(graph.task(name, part).ref) as file:
            yield file

    return FinalModels(open_stage, graph.recipe, Classes.of(graph.data.train), WeightFiles())


def test_a_joint_prediction_is_the_joint_choice_of_the_same_images(
    finished: Path, make_graph, tmp_path: Path
) -> None:
    from PIL import Image

    graph = make_graph(finished)
    models, _ = open_models(finished)
    job = graph.job("calibration")
    dataset = graph.data.evaluate
    images = [dataset[image_id].image for image_id in job.ids(FINAL)]
    found = models.predict_corpus(images)
    judged = read_judged(job, FINAL)
    with graph.job("pages").open("calibration", ALL) as file:
        choice = file["populations/evaluation/choice"][()]
    np.testing.assert_array_equal([result.chosen for result in found.results], choice)
    assert found.upper_bound >= found.expected_iou
    alone = chosen_counts(judged.counts, judged.scores.argmax(axis=1))
    assert corpus_iou(alone).mean <= 1
    for result in found.results:
        if result.chosen != result.preferred:
            assert "for the expected corpus IoU" in result.kept
    with pytest.raises(InputError, match="0 images"):
        models.predict_corpus([])
    with pytest.raises(InputError, match="2 images, 2 maps and 1 names"):
        models.predict_corpus(images[:2], None, ["a"])
    paths = []
    for index, image in enumerate(images[:3]):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    written = predict_files(finished, paths, tmp_path / "out", quiet=True, joint=True)
    few = models.predict_corpus(images[:3]).results
    for path, result in zip(written, few):
        np.testing.assert_array_equal(np.array(Image.open(path)), result.labels)


def test_more_images_than_fit_are_chosen_block_by_block() -> None:
    rng = np.random.default_rng(0)
    union = rng.uniform(5, 9, (7, 4, 3))
    inter, scores = union * rng.random(union.shape), rng.random((7, 4))
    rows = list(map(ExpectedCounts, inter, union))
    whole = joint_choice(scores, ExpectedCounts(inter, union))
    at_once = joint_choice_in_blocks(scores, iter(rows), most=7)
    np.testing.assert_array_equal(at_once.choice, whole.choice)
    assert at_once[1:] == pytest.approx(whole[1:])
    found = joint_choice_in_blocks(scores, iter(rows), most=3)
    blocks = [
        joint_choice(scores[own], ExpectedCounts(inter[own], union[own]))
        for own in (slice(0, 3), slice(3, 5), slice(5, 7))
    ]
    np.testing.assert_array_equal(found.choice, np.concatenate([b.choice for b in blocks]))
    for field in ("expected_iou", "upper_bound", "gap"):
        mean = np.average([getattr(b, field) for b in blocks], weights=[3, 2, 2])
        assert getattr(found, field) == pytest.approx(mean)

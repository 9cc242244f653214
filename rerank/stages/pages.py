"""The report: tables, plots and the HTML page, made from finished artefacts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe, dump_recipe
from rerank.engine.hdf5 import read_strings, write_array
from rerank.engine.stage import Job, Stage, read_image
from rerank.engine.store import software_versions
from rerank.metrics import IntersectionUnion, corpus_iou, image_iou
from rerank.reports import (
    Evaluation,
    Example,
    Page,
    Panel,
    Section,
    chosen_counts,
    data_uri,
    draw_bars,
    draw_class_iou,
    draw_oracle_curve,
    evaluate,
    evaluation_rows,
    label_picture,
    photograph,
    render_page,
    to_csv,
    to_png,
)
from rerank.stages.dense_crf import read_dense_crf
from rerank.stages.generators import MEASURES
from rerank.stages.oracle import POPULATIONS, load_curve, population_parts, read_counts
from rerank.stages.ranking import load_scores
from rerank.stages.segnet import enlarge
from rerank.superpixels import to_pixels
from rerank.types import Array, FloatArray, IntArray

#: Names of the rules as people read them, by the name of their scores.
RULES = {
    "svm": "ranking SVM",
    "kl": "symmetric KL (Eq. 17)",
    "kl_cross_entropy": "symmetric KL, SegNet of CE alone",
    "mbr": "minimum Bayes risk",
    "pairwise": "pairwise ranking SVM",
    "ridge": "ridge",
    "boosting": "gradient boosting",
}
FUSION = "fusion (MAP of all signals)"
DENSE_CRF = "dense CRF"
#: Rules that are drawn beside the oracle curve; all of them would be too many lines to tell apart.
DRAWN = ("MAP", FUSION, RULES["kl"], RULES["mbr"], RULES["svm"])
TITLES = {"evaluation": "Evaluation images", "cross_fitted": "All images, cross-fitted"}
LEADS = {
    "evaluation": "Images of the evaluation split; every model was fitted on the training split.",
    "cross_fitted": "Training and evaluation images together, each judged by models and by a "
    "ranker that never saw it.",
}
PANEL_WIDTH, THUMB_WIDTH = 320, 110


@dataclass(frozen=True)
class Population:
    """A set of images with everything that is compared on it."""

    name: str
    parts: tuple[str, ...]
    counts: IntersectionUnion
    choices: Mapping[str, IntArray]
    fixed: Mapping[str, IntersectionUnion]


def load_population(job: Job, name: str) -> Population:
    """Read counts, choices and baselines of a population."""
    parts = population_parts(job, name)
    counts = read_counts(job, parts)
    choices = {"MAP": np.zeros(len(counts.intersections), dtype=np.int64)}
    if job.recipe.fusion.enabled and counts.intersections.shape[1] > 1:
        choices[FUSION] = np.ones(len(counts.intersections), dtype=np.int64)
    with job.open("ranking") as file:
        scores = [load_scores(file, part) for part in parts]
    for rule in scores[0]:
        choices[RULES.get(rule, rule)] = np.concatenate([s[rule] for s in scores]).argmax(axis=1)
    with job.open("oracle") as file:
        curve = load_curve(file, name)
    choices["oracle of each image"] = curve.image_oracle_choice[-1]
    choices["oracle of the corpus"] = curve.corpus_oracle_choice[-1]
    fixed = {
        "superpixel bound": read_counts(job, parts, "bound_"),
        "unary alone": read_counts(job, parts, "unary_"),
    }
    with job.open("dense_crf") as file:
        refined = read_dense_crf(file)
    if refined is not None and name == "evaluation":
        fixed[DENSE_CRF] = refined
    fixed.update(_upsampling(job, parts))
    return Population(name, parts, counts, choices, fixed)


def evaluations(population: Population, n_bootstrap: int, random_state: int) -> list[Evaluation]:
    """Every rule and baseline on a population, MAP's gain being the reference."""
    baseline = chosen_counts(population.counts, population.choices["MAP"])
    found = [
        evaluate(name, counts, baseline, n_bootstrap, random_state)
        for name, counts in population.fixed.items()
    ]
    for name, choice in population.choices.items():
        counts = chosen_counts(population.counts, choice)
        found.append(
            evaluate(name, counts, None if name == "MAP" else baseline, n_bootstrap, random_state)
        )
    return found


def oracle_files(job: Job) -> dict[str, bytes]:
    """The oracle analysis: `oracle_*.csv` and `oracle_*.png` of each population."""
    files = {}
    for name in _populations(job):
        population = load_population(job, name)
        with job.open("oracle") as file:
            curve = load_curve(file, name)
        rows = [
            {
                "n_proposals": int(m),
                **{
                    key: round(100 * float(getattr(curve, key)[i]), 3)
                    for key in (
                        "image_oracle_miou",
                        "corpus_oracle_miou",
                        "image_oracle_image_iou",
                        "corpus_oracle_image_iou",
                    )
                },
            }
            for i, m in enumerate(curve.n_proposals)
        ]
        lines = {}
        for rule, choice in population.choices.items():
            if rule in DRAWN:
                counts = chosen_counts(population.counts, choice)
                lines[rule] = (corpus_iou(counts).mean, float(np.nanmean(image_iou(counts))))
        files[f"oracle_{name}.csv"] = to_csv(rows).encode()
        files[f"oracle_{name}.png"] = to_png(
            draw_oracle_curve(curve, lines, f"{job.recipe.name}: {TITLES[name].lower()}")
        )
    return files


def generator_files(job: Job) -> dict[str, bytes]:
    """`generators.csv`: the oracle of each generator alone; empty where the recipe has it off."""
    rows: list[dict[str, object]] = []
    with job.open("generators") as file:
        if "names" not in file:
            return {}
        names = read_strings(file["names"])
        places = sorted(int(key[3:]) for key in file if key.startswith("at_"))
        tables = {place: file[f"at_{place}"][()] for place in places}
    for k, name in enumerate(names):
        row: dict[str, object] = {"generator": name}
        for place, table in tables.items():
            row.update(
                {
                    f"{measure}_at_{place}": _points(table[k, i])
                    for i, measure in enumerate(MEASURES)
                }
            )
        rows.append(row)
    return {"generators.csv": to_csv(rows).encode()}


def ablation_files(job: Job) -> dict[str, bytes]:
    """The ablation: `ablation.csv` and `ablation.png`; empty where the recipe leaves it out."""
    name = _populations(job)[0]
    counts = read_counts(job, population_parts(job, name))
    baseline = IntersectionUnion(counts.intersections[:, 0], counts.unions[:, 0])
    rows, bars = [], []
    with job.open("ablation") as file:
        for key in file:
            if key == "header":
                continue
            groups = " + ".join(read_strings(file[key]["groups"]))
            chosen = chosen_counts(counts, file[key]["choice"][()])
            found = evaluate(
                groups, chosen, baseline, job.recipe.report.n_bootstrap, job.recipe.random_state
            )
            rows.append(
                {
                    **evaluation_rows({groups: found})[0],
                    "n_columns": int(file[key]["n_columns"][()]),
                    "C": float(file[key]["C"][()]),
                }
            )
            bars.append(found)
    if not rows:
        return {}
    intervals = [b.corpus_interval for b in bars]
    low = [100 * (b.corpus_iou if i is None else i.low) for b, i in zip(bars, intervals)]
    high = [100 * (b.corpus_iou if i is None else i.high) for b, i in zip(bars, intervals)]
    figure = draw_bars(
        [b.name for b in bars],
        [100 * b.corpus_iou for b in bars],
        low,
        high,
        100 * corpus_iou(baseline).mean,
        "corpus mIoU (points); the line is MAP",
    )
    return {"ablation.csv": to_csv(rows).encode(), "ablation.png": to_png(figure)}


def report_files(job: Job) -> dict[str, bytes]:
    """All files of the report, `report.html` among them."""
    files = {**oracle_files(job), **generator_files(job), **ablation_files(job)}
    sections = []
    populations = [load_population(job, name) for name in _populations(job)]
    for population in populations:
        found = evaluations(population, job.recipe.report.n_bootstrap, job.recipe.random_state)
        rules = [
            e
            for e in found
            if e.name in ("unary alone", "MAP", "ranking SVM", "oracle of each image")
        ]
        files[f"rules_{population.name}.csv"] = to_csv(
            evaluation_rows({e.name: e for e in found})
        ).encode()
        files[f"classes_{population.name}.csv"] = to_csv(
            [
                {"class": name, **{e.name: _points(e.per_class[k]) for e in found}}
                for k, name in enumerate(job.train.class_names)
            ]
        ).encode()
        classes_png = to_png(
            draw_class_iou(job.train.class_names, {e.name: e.per_class for e in rules})
        )
        files[f"classes_{population.name}.png"] = classes_png
        figures = [
            Panel(
                "Oracle accuracy against the number of proposals, with each rule as a line.",
                data_uri(files[f"oracle_{population.name}.png"]),
            ),
            Panel("IoU of each class.", data_uri(classes_png)),
        ]
        sections.append(
            Section(
                f"{TITLES[population.name]} ({len(population.counts.unions)})",
                LEADS[population.name],
                found,
                figures,
                job.train.class_names,
                found,
            )
        )
    if "ablation.png" in files:
        sections.append(
            Section(
                "Feature ablation",
                "The ranking SVM on every subset of its groups of features, as in "
                "section 5 of Cogswell et al. 2014; intervals are bootstrapped over images.",
                (),
                [Panel("Corpus mIoU of each subset.", data_uri(files["ablation.png"]))],
            )
        )
    page = Page(
        f"rerank: {job.recipe.name}",
        "Stage 1 draws diverse labelings of each image from a CRF over superpixels; stage 2 scores "
        "them and picks one. IoU is given in points and counted over all images of a section, "
        "void left out.",
        _facts(job),
        [
            (name, "rgb({}, {}, {})".format(*job.train.palette[k]))
            for k, name in enumerate(job.train.class_names)
        ],
        sections,
        _examples(job, populations[0]),
        dump_recipe(job.recipe),
        software_versions(),
    )
    files["report.html"] = render_page(page).encode()
    return files


def _populations(job: Job) -> list[str]:
    return [name for name in POPULATIONS if population_parts(job, name)]


def _upsampling(job: Job, parts: Sequence[str]) -> dict[str, IntersectionUnion]:
    names = {"naive": "SegNet, naive upsampling", "superpixel": "SegNet, superpixel upsampling"}
    found: dict[str, list[IntersectionUnion]] = {name: [] for name in names}
    for part in parts:
        with job.open("upsampling", part) as file:
            for name in names:
                found[name].append(
                    IntersectionUnion(file[f"{name}/intersections"][()], file[f"{name}/unions"][()])
                )
    return {
        names[name]: IntersectionUnion(
            np.concatenate([c.intersections for c in counts]),
            np.concatenate([c.unions for c in counts]),
        )
        for name, counts in found.items()
    }


def _features(kind: str) -> str:
    return ("appearance and deep" if kind == "both" else kind) + " features"


def _dense_network(recipe: Recipe) -> str:
    return (
        f"a dense network on {recipe.backbone.architecture}"
        + (", trained as a whole" if recipe.dense.train_backbone else "")
        + (" with a CRF layer" if recipe.dense.crf_layer else "")
    )


def _facts(job: Job) -> dict[str, str]:
    recipe = job.recipe
    unaries = {
        "classifier": _features(recipe.unary.features),
        "dense": _dense_network(recipe),
        "probabilities": "probability maps",
    }[recipe.unary.source]
    if recipe.unary.dense_crf:
        unaries += ", refined by the dense CRF"
    drawn_by = (
        "from a pool of all generators" if recipe.proposals.generator == "pool" else "by DivMBest"
    )
    heard = ""
    if recipe.posterior.features is not None:
        heard = f"a second classifier on {_features(recipe.posterior.features)}"
        if recipe.posterior.scales is not None:
            heard += f" at scales {', '.join(f'{s:g}' for s in recipe.posterior.scales)}"
        heard += "; "
    if recipe.posterior.dense:
        heard += f"{_dense_network(recipe)}; "
    evaluate_images = 0 if job.evaluate is None else len(job.evaluate)
    return {
        "Data set": f"{recipe.dataset.name}, {len(job.train)} training and {evaluate_images} "
        f"evaluation images, {job.train.n_classes} classes",
        "Stage 1": f"about {recipe.superpixels.n_segments} superpixels; unaries from {unaries}; "
        f"{recipe.proposals.n_proposals} proposals {drawn_by}",
        "Stage 2": f"SegNet on {recipe.backbone.architecture}, {recipe.segnet.grid}x"
        f"{recipe.segnet.grid} grid; {heard}"
        f"ranking SVM on {', '.join(recipe.ranking.groups)}",
        "Folds": f"{recipe.folds.n_folds}",
    }


def _examples(job: Job, population: Population) -> dict[str, list[Example]]:
    ious = image_iou(population.counts)
    chosen = population.choices[RULES["svm"]]
    rows = np.arange(len(chosen))
    gain = np.nan_to_num(ious[rows, chosen] - ious[:, 0])
    count = min(job.recipe.report.n_examples, len(rows))
    sample = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    order = np.argsort(-gain, kind="stable")
    half = max(1, count // 2)
    best = [i for i in order[:half] if gain[i] > 0]
    worst = [i for i in order[::-1][:half] if gain[i] < 0]
    found = {"A sample of images": [_example(job, population, ious, i) for i in sample]}
    if best:
        found["Choices that gained most over MAP"] = [
            _example(job, population, ious, i) for i in best
        ]
    if worst:
        found["Choices that lost most against MAP"] = [
            _example(job, population, ious, i) for i in worst
        ]
    return found


def _example(job: Job, population: Population, ious: FloatArray, row: int) -> Example:
    part, index = _locate(job, population.parts, row)
    image_id = part_ids(job, part)[index]
    dataset = job.train if image_id in job.train.ids else job.evaluate
    assert dataset is not None
    sample = dataset[image_id]
    with job.open("superpixels", part) as file:
        superpixels = read_image(file, index, ("superpixels",))["superpixels"]
    with job.open("proposals", part) as file:
        proposals = read_image(file, index)
    labelings = proposals["labelings"]
    with job.open("segnet", part) as file:
        coarse = file["maps"][index].argmax(axis=-1)
    with job.open("ranking") as file:
        scores = load_scores(file, part)["svm"][index]
    chosen = int(population.choices[RULES["svm"]][row])
    best = int(population.choices["oracle of each image"][row])

    def drawn(labels: Array, width: int = PANEL_WIDTH) -> str:
        return data_uri(label_picture(labels, dataset.palette, width))

    def labeling(m: int, width: int = PANEL_WIDTH) -> str:
        return drawn(to_pixels(labelings[m], superpixels), width)

    def note(m: int) -> str:
        return f"IoU {100 * ious[row, m]:.1f}"

    panels = [
        Panel("image", data_uri(photograph(sample.image, PANEL_WIDTH))),
        Panel("ground truth", drawn(sample.labels)),
        Panel("MAP", labeling(0), note(0)),
        Panel("coarse SegNet", drawn(enlarge(coarse, sample.labels.shape))),
        Panel(f"chosen (proposal {chosen})", labeling(chosen), note(chosen), "chosen"),
        Panel(f"oracle (proposal {best})", labeling(best), note(best), "oracle"),
    ]
    thumbs = [
        Panel(
            f"{m}: {scores[m]:.2f}",
            labeling(m, THUMB_WIDTH),
            f"{note(m)}, {proposals['generators'][m].replace('_', ' ')}",
            _mark(m, chosen, best),
        )
        for m in range(len(labelings))
    ]
    summary = (
        f"MAP {100 * ious[row, 0]:.1f}, chosen {100 * ious[row, chosen]:.1f}, "
        f"oracle {100 * ious[row, best]:.1f} (mean IoU of this image)"
    )
    return Example(image_id, summary, panels, thumbs)


def part_ids(job: Job, part: str) -> tuple[str, ...]:
    """Images of a part."""
    return next(p.image_ids for p in job.parts if p.name == part)


def _mark(m: int, chosen: int, best: int) -> str:
    if m == chosen:
        return "both" if m == best else "chosen"
    return "oracle" if m == best else ""


def _locate(job: Job, parts: Sequence[str], row: int) -> tuple[str, int]:
    for part in parts:
        count = len(part_ids(job, part))
        if row < count:
            return part, row
        row -= count
    raise IndexError(row)


def _points(value: float) -> object:
    return "" if np.isnan(value) else round(100 * float(value), 3)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "report": recipe.report.model_dump(mode="json"),
        "name": recipe.name,
        "recipe": recipe.model_dump(mode="json"),
    }


def _run(job: Job, file: h5py.File) -> None:
    group = file.create_group("files")
    for name, content in report_files(job).items():
        write_array(group, name, np.frombuffer(content, dtype=np.uint8))


STAGE = Stage(
    "pages",
    8,
    _settings,
    tuple(
        (name, "every")
        for name in (
            "superpixels",
            "proposals",
            "quality",
            "segnet",
            "upsampling",
            "ranking",
            "oracle",
            "dense_crf",
            "generators",
            "ablation",
        )
    ),
    _run,
    "drawing the report",
    reads=("images",),
    split=False,
    cost=0.1,
)

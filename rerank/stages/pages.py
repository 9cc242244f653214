"""The report: tables, plots and the HTML page, made from finished artefacts alone."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from rerank.config import Recipe, dump_recipe
from rerank.engine.hdf5 import read_strings, write_array
from rerank.engine.stage import Job, read_image
from rerank.engine.store import software_versions
from rerank.evidence.grid_cells import enlarge
from rerank.metrics import IntersectionUnion, OracleCurve, image_iou
from rerank.reports import (
    Example,
    Page,
    Panel,
    Section,
    analyses,
    data_uri,
    draw_class_iou,
    evaluation_rows,
    label_picture,
    photograph,
    render_page,
    to_csv,
    to_png,
)
from rerank.reports.analyses import AblationRow, in_points
from rerank.reports.populations import (
    DENSE_CRF,
    FUSION,
    GATED,
    JOINT,
    NETWORK_ROW,
    RULES,
    TITLES,
    Population,
    evaluations,
)
from rerank.stages.calibration import Calibration
from rerank.stages.dense_crf import read_dense_crf
from rerank.stages.generators import MEASURES
from rerank.stages.oracle import POPULATIONS, load_curve, population_parts, read_counts
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_scores
from rerank.stages.segnet import read_map
from rerank.superpixels import to_pixels
from rerank.types import Array, FloatArray

PANEL_WIDTH, THUMB_WIDTH = 320, 110


def load_population(job: Job, name: str) -> Population:
    """Read counts, choices and baselines of a population.

    Parameters
    ----------
    job : Job
        Of this stage.
    name : {"evaluation", "cross_fitted"}

    Returns
    -------
    Population
    """
    parts = population_parts(job, name)
    counts = read_counts(job, parts)
    choices = {"MAP": np.zeros(len(counts.intersections), dtype=np.int64)}
    if job.recipe.fusion.enabled and counts.intersections.shape[1] > 1:
        choices[FUSION] = np.ones(len(counts.intersections), dtype=np.int64)
    with job.open("ranking") as file:
        scores = [load_scores(file, part) for part in parts]
    for rule in scores[0]:
        choices[RULES.get(rule, rule)] = np.concatenate([s[rule] for s in scores]).argmax(axis=1)
    with job.open("calibration") as file:
        choices[GATED] = np.concatenate([file[f"choices/{part}/choice"][()] for part in parts])
        choices[JOINT] = file[f"populations/{name}/choice"][()]
    with job.open("oracle") as file:
        curve = load_curve(file, name)
    choices["oracle of each image"] = curve.image_oracle_choice[-1]
    choices["oracle of the corpus"] = curve.corpus_oracle_choice[-1]
    fixed = {
        "superpixel bound": read_counts(job, parts, "bound_"),
        "unary alone": read_counts(job, parts, "unary_"),
    }
    with job.open("dense_crf") as file:
        refined = read_dense_crf(file, parts)
    if refined is not None:
        fixed[DENSE_CRF] = refined
    if job.recipe.segnet.enabled:
        fixed.update(_upsampling(job, parts))
    return Population(name, parts, counts, choices, fixed, read_network(job, parts))


def read_network(job: Job, parts: tuple[str, ...]) -> IntersectionUnion | None:
    """Counts of the labeling of the user's own network, (n_images, n_classes).

    Parameters
    ----------
    job : Job
    parts : tuple of str

    Returns
    -------
    IntersectionUnion or None
        None where the unaries come from no maps of the user's.
    """
    own_maps = job.recipe.unary.source == "probabilities"
    return read_counts(job, parts, "network_") if own_maps else None


def oracle_files(job: Job) -> dict[str, bytes]:
    """The oracle analysis: `oracle_*.csv` and `oracle_*.png` of each population."""
    files = {}
    for name in _populations(job):
        curve = _read_curve(job, name)
        files.update(analyses.oracle_files(load_population(job, name), curve, job.recipe.name))
    return files


def generator_files(job: Job) -> dict[str, bytes]:
    """`generators.csv`: the oracle of each generator; empty where the recipe leaves it out."""
    with job.open("generators") as file:
        if "names" not in file:
            return {}
        names = read_strings(file["names"])
        places = sorted(int(key[3:]) for key in file if key.startswith("at_"))
        tables = {place: file[f"at_{place}"][()] for place in places}
    # Generators are compared on the evaluation images, and on all where there are none.
    network = read_network(job, population_parts(job, _populations(job)[0]))
    return {"generators.csv": analyses.generator_csv(names, MEASURES, tables, network).encode()}


def ablation_files(job: Job) -> dict[str, bytes]:
    """The ablation: `ablation.csv` and `ablation.png`; empty where the recipe leaves it out."""
    parts = population_parts(job, _populations(job)[0])
    counts = read_counts(job, parts)
    with job.open("ablation") as file:
        rows = [
            AblationRow(
                read_strings(group["groups"]),
                group["choice"][()],
                int(group["n_columns"][()]),
                float(group["C"][()]),
            )
            for key, group in file.items()
            if key != "header"
        ]
    report = job.recipe.report
    return analyses.ablation_files(
        counts, rows, report.n_bootstrap, job.recipe.random_state, read_network(job, parts)
    )


def report_files(job: Job) -> dict[str, bytes]:
    """All files of the report, `report.html` among them."""
    files = {**oracle_files(job), **generator_files(job), **ablation_files(job)}
    sections = []
    populations = [load_population(job, name) for name in _populations(job)]
    for population in populations:
        found = evaluations(population, job.recipe.report.n_bootstrap, job.recipe.random_state)
        first = "unary alone" if population.network is None else NETWORK_ROW
        rules = [
            e for e in found if e.name in (first, "MAP", "ranking SVM", "oracle of each image")
        ]
        files[f"rules_{population.name}.csv"] = to_csv(
            evaluation_rows({e.name: e for e in found})
        ).encode()
        files[f"classes_{population.name}.csv"] = to_csv(
            [
                {"class": name, **{e.name: in_points(e.per_class[k]) for e in found}}
                for k, name in enumerate(job.data.train.class_names)
            ]
        ).encode()
        classes_png = to_png(
            draw_class_iou(job.data.train.class_names, {e.name: e.per_class for e in rules})
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
                population.lead,
                found,
                figures,
                job.data.train.class_names,
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
            (name, "rgb({}, {}, {})".format(*job.data.train.palette[k]))
            for k, name in enumerate(job.data.train.class_names)
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


def _read_curve(job: Job, name: str) -> OracleCurve:
    with job.open("oracle") as file:
        return load_curve(file, name)


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
        + (", trained as a whole" if recipe.dense_network.train_backbone else "")
        + (" with a CRF layer" if recipe.dense_network.crf_layer else "")
    )


def _facts(job: Job) -> dict[str, str]:
    recipe = job.recipe
    unaries = {
        "classifier": _features(recipe.unary.features),
        "dense_network": _dense_network(recipe),
        "probabilities": "the network's maps",
    }[recipe.unary.source]
    own_maps = recipe.unary.source == "probabilities"
    split = ", split along the borders of the network's labels" if own_maps else ""
    if recipe.unary.dense_crf:
        unaries += ", refined by the dense CRF"
    drawn_by = {
        "pool": "from a pool of all generators",
        "mixed": "by DivMBest and as samples of the CRF",
        "div_mbest": "by DivMBest",
    }[recipe.proposals.generator]
    auxiliary = ""
    if recipe.auxiliary.features is not None:
        auxiliary = f"an auxiliary classifier on {_features(recipe.auxiliary.features)}"
        if recipe.auxiliary.scales is not None:
            auxiliary += f" at scales {', '.join(f'{s:g}' for s in recipe.auxiliary.scales)}"
        auxiliary += "; "
    if recipe.auxiliary.dense_network:
        auxiliary += f"{_dense_network(recipe)}; "
    if recipe.auxiliary.probabilities:
        auxiliary += f"maps of further networks ({len(recipe.auxiliary.probabilities)}); "
    grid = recipe.segnet.grid
    segnet = f"SegNet on {recipe.backbone.architecture}, {grid}x{grid} grid; "
    if not recipe.segnet.enabled:
        segnet = ""
    n_segments = recipe.superpixels.n_segments
    superpixels = "superpixels" if n_segments is None else f"about {n_segments} superpixels"
    with job.open("calibration") as file:
        promises = Calibration.load(file["model"], recipe)
    evaluate_images = 0 if job.data.evaluate is None else len(job.data.evaluate)
    return {
        "Data set": f"{recipe.dataset.name}, {len(job.data.train)} training and {evaluate_images} "
        f"evaluation images, {job.data.train.n_classes} classes",
        "Stage 1": f"{superpixels}{split}; unaries from {unaries}; "
        f"{recipe.proposals.n_proposals} proposals {drawn_by}",
        "Stage 2": f"{segnet}{auxiliary}ranking SVM on {', '.join(recipe.ranking.groups)}",
        "Folds": f"{recipe.folds.n_folds}",
        "Gate": promises.gate.explanation_,
        "Sets of proposals": promises.sets.explanation_,
    }


def _examples(job: Job, population: Population) -> dict[str, list[Example]]:
    ious = image_iou(population.counts)
    chosen = population.choices[RULES["svm"]]
    rows = np.arange(len(chosen))
    network = population.network
    before = ious[:, 0] if network is None else image_iou(network)
    baseline = "MAP" if network is None else "the network"
    gain = np.nan_to_num(ious[rows, chosen] - before)
    count = min(job.recipe.report.n_examples, len(rows))
    sample = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    order = np.argsort(-gain, kind="stable")
    half = max(1, count // 2)
    best = [i for i in order[:half] if gain[i] > 0]
    worst = [i for i in order[::-1][:half] if gain[i] < 0]
    found = {"A sample of images": [_example(job, population, ious, i) for i in sample]}
    if best:
        found[f"Choices that gained most over {baseline}"] = [
            _example(job, population, ious, i) for i in best
        ]
    if worst:
        found[f"Choices that lost most against {baseline}"] = [
            _example(job, population, ious, i) for i in worst
        ]
    return found


def _example(job: Job, population: Population, ious: FloatArray, row: int) -> Example:
    part, index = _locate(job, population.parts, row)
    image_id = job.ids(part)[index]
    dataset = job.data.train if image_id in job.data.train.ids else job.data.evaluate
    assert dataset is not None
    sample = dataset[image_id]
    with job.open("superpixels", part) as file:
        superpixels = read_image(file, index, ("superpixels",))["superpixels"]
    with job.open("proposals", part) as file:
        proposals = read_image(file, index)
    labelings = proposals["labelings"]
    with job.open("segnet", part) as file:
        coarse = read_map(file, index)
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
        Panel(f"chosen (proposal {chosen})", labeling(chosen), note(chosen), "chosen"),
        Panel(f"oracle (proposal {best})", labeling(best), note(best), "oracle"),
    ]
    if coarse is not None:
        coarse_labels = enlarge(coarse.argmax(axis=-1), sample.labels.shape)
        panels.insert(3, Panel("coarse SegNet", drawn(coarse_labels)))
    summary = (
        f"MAP {100 * ious[row, 0]:.1f}, chosen {100 * ious[row, chosen]:.1f}, "
        f"oracle {100 * ious[row, best]:.1f} (mean IoU of this image)"
    )
    if NETWORK in proposals["generators"]:
        own = list(proposals["generators"]).index(NETWORK)
        panels.insert(2, Panel(NETWORK_ROW, labeling(own), note(own)))
        summary = f"{NETWORK_ROW} {100 * ious[row, own]:.1f}, {summary}"
    thumbs = [
        Panel(
            f"{m}: {scores[m]:.2f}",
            labeling(m, THUMB_WIDTH),
            f"{note(m)}, {proposals['generators'][m].replace('_', ' ')}",
            _mark(m, chosen, best),
        )
        for m in range(len(labelings))
    ]
    return Example(image_id, summary, panels, thumbs)


def _mark(m: int, chosen: int, best: int) -> str:
    if m == chosen:
        return "both" if m == best else "chosen"
    return "oracle" if m == best else ""


def _locate(job: Job, parts: Sequence[str], row: int) -> tuple[str, int]:
    for part in parts:
        count = len(job.ids(part))
        if row < count:
            return part, row
        row -= count
    raise IndexError(row)


def run(job: Job, file: h5py.File) -> None:
    """Write the report's files as bytes, in the group `files`."""
    group = file.create_group("files")
    for name, content in report_files(job).items():
        write_array(group, name, np.frombuffer(content, dtype=np.uint8))

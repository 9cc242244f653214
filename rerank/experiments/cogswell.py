"""Cogswell et al. 2014: Table 2, the ablation of section 5 and Fig. 6, on the pipeline's work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from rerank.config import Recipe, dump_recipe
from rerank.errors import DataError
from rerank.experiments.outcome import Outcome
from rerank.experiments.table import PaperLine, Row, Scope, Table
from rerank.experiments.weights import find_backbone_weights
from rerank.hdf5 import read_strings
from rerank.reports import chosen_counts
from rerank.stages.commands import find_recipe
from rerank.stages.report import RULES, Population, load_population
from rerank.stages.workflow import Workflow
from rerank.store import Store

#: UOI's weight in the second phase of the SegNet's training; 0 goes on with cross-entropy.
_UOI = {"ce": 0.0, "uoi": 1.0, "mix": 0.7}


@dataclass(frozen=True)
class PipelineRecipe:
    """Which labelings of a pipeline run a row counts.

    Attributes
    ----------
    loss : str
        Of the SegNet's second phase: ``"ce"``, ``"uoi"`` or ``"mix"`` (0.7 UOI + 0.3 CE).
    rule : str
        A rule or baseline of the report; or, with `groups`, no matter.
    groups : tuple of str
        The groups of features that an ablated ranker reads.
    """

    loss: str
    rule: str = ""
    groups: tuple[str, ...] = ()


class PipelineBench:
    """Runs the pipeline once a seed and loss, in one store, and reads its choices (see `Bench`).

    Superpixels, unaries and proposals of a seed are the same for all losses.

    Parameters
    ----------
    scope : Scope
    name : str
        A built-in recipe.
    overrides : sequence of str
        Further settings, as `rerank run --set` takes them.

    Raises
    ------
    DataError
        If the images or the weights are missing.
    """

    def __init__(self, scope: Scope, name: str = "msrc21", overrides: Sequence[str] = ()) -> None:
        self.scope, self.name, self.overrides = scope, name, tuple(overrides)
        backbone = find_recipe(name, overrides).backbone
        self._weights = None if backbone.weights is None else find_backbone_weights(
            scope.data_root, backbone.architecture)
        self._store = Store(scope.work / "pipeline")
        self._workflows: dict[tuple[str, int], Workflow] = {}
        self._populations: dict[tuple[str, int], tuple[Workflow, Population]] = {}
        self.class_names = self._workflow("mix", 0).train.class_names

    def recipe(self, loss: str, seed: int) -> Recipe:
        """The built-in recipe with the SegNet's loss and the seed."""
        chosen = [f"random_state={seed}", f"segnet.uoi_weight={_UOI[loss]}", "fusion.enabled=false",
                  "proposals.generator=div_mbest", "report.ablation=true",
                  "report.n_bootstrap=10", "ranking.groups=[segnet, classification, proposal]"]
        if not self.scope.full:
            chosen.append("folds.n_folds=4")
        if self._weights is not None:
            chosen.append(f"backbone.weights={self._weights}")
        return find_recipe(self.name, [*chosen, *self.overrides])

    def settings(self, row: Row, seed: int) -> Any:
        """What the outcome depends on: the key of the run's report holds all of it."""
        chosen: PipelineRecipe = row.recipe
        report = self._workflow(chosen.loss, seed).task("pages").ref
        return {"report": report.key, "row": vars(chosen), "version": 1}

    def measure(self, row: Row, seed: int, place: Path, start: Optional[Path],
                progress: Callable[[float], None]) -> Outcome:
        """Run what is missing of the pipeline and count the row's labelings."""
        began = time.monotonic()
        chosen: PipelineRecipe = row.recipe
        workflow, population = self._population(chosen.loss, seed)
        if chosen.groups:
            counts = chosen_counts(population.counts, _ablated(workflow, chosen.groups))
        elif chosen.rule in population.fixed:
            counts = population.fixed[chosen.rule]
        elif chosen.rule in population.choices:
            counts = chosen_counts(population.counts, population.choices[chosen.rule])
        else:
            raise DataError(f"{self._store.root}: no rule {chosen.rule!r} in the run's report")
        progress(1.0)
        return Outcome(counts, time.monotonic() - began)

    def _workflow(self, loss: str, seed: int) -> Workflow:
        key = loss, seed
        if key not in self._workflows:
            self._workflows[key] = Workflow(self.recipe(loss, seed), self._store,
                                            str(self.scope.data_root))
        return self._workflows[key]

    def _population(self, loss: str, seed: int) -> tuple[Workflow, Population]:
        key = loss, seed
        if key not in self._populations:
            workflow = self._workflow(loss, seed)
            workflow.run(jobs=self.scope.jobs, quiet=True)
            self._populations[key] = (workflow,
                                      load_population(workflow.job("pages"), "evaluation"))
        return self._populations[key]


def _ablated(workflow: Workflow, groups: tuple[str, ...]) -> Any:
    with workflow.job("pages").open("ablation") as file:
        for key in file:
            if key != "header" and set(read_strings(file[key]["groups"])) == set(groups):
                return file[key]["choice"][()]
    raise DataError(f"the run's ablation has no subset {' + '.join(groups)}")


def recipe_text(bench: PipelineBench, loss: str, seed: int) -> str:
    """The full recipe of a run, to be run by itself with `rerank run`."""
    return dump_recipe(bench.recipe(loss, seed))


_KL = RULES["kl"]
_NAIVE, _SUPERPIXEL = "SegNet, naive upsampling", "SegNet, superpixel upsampling"
_GROUPS = ("segnet", "classification", "proposal")
_DATA = "MSRC-21, 59 validation images; superpixel CRF with DivMBest, SegNet on SqueezeNet 1.0"
_PAPER_DATA = "PASCAL VOC 2012 validation images; O2P with DivMBest, SegNet on CaffeNet"
_BASE_NOTES = (
    "The pipeline is that of `rerank run msrc21` with DivMBest alone as the generator, without "
    "fusion, and with the paper's three groups of features; all losses and rules see the same "
    "proposals of a seed.",
    "`rerank run` reaches more: its pool of generators, its compact features and fusion are left "
    "out here, where the paper's own method is measured.",
)
_RULES: Mapping[str, tuple[str, Optional[float], PipelineRecipe]] = {
    "map": ("MAP (first of DivMBest)", None, PipelineRecipe("mix", "MAP")),
    "naive": ("Naive upsampling", 31.3, PipelineRecipe("mix", _NAIVE)),
    "superpixel": ("Superpixel upsampling", 31.9, PipelineRecipe("mix", _SUPERPIXEL)),
    "ce": ("SegNet-CE", 47.4, PipelineRecipe("ce", _KL)),
    "uoi": ("SegNet-UOI", 48.5, PipelineRecipe("uoi", _KL)),
    "mix": ("SegNet-UOI-CE-combination", 48.7, PipelineRecipe("mix", _KL)),
    "svm": ("+SVM re-ranker", 53.1, PipelineRecipe("mix", RULES["svm"])),
}


def _rows(*keys: str) -> tuple[Row, ...]:
    return tuple(Row(key, name, paper, recipe)
                 for key, (name, paper, recipe) in _RULES.items() if key in keys)


TABLE2 = Table(
    name="cogswell-table2", title="From coarse to full size", source="Cogswell et al. 2014, "
    "Table 2", paper_data=_PAPER_DATA, data=_DATA,
    columns=("Naive Upsampling", "Superpixel Upsampling", "SegNet-CE", "SegNet-UIO",
             "SegNet-UIO-CE-combination", "+SVM re-ranker"),
    printed=(PaperLine("31.3", (31.9, 47.4, 48.5, 48.7, 53.1)),),
    rows=_rows("map", "naive", "superpixel", "ce", "uoi", "mix", "svm"), baseline="map",
    bench=PipelineBench, pairs=(("uoi", "ce"), ("mix", "ce"), ("svm", "mix")),
    aims={("mix", "ce"): 0.0}, notes=_BASE_NOTES)

FIG6 = Table(
    name="cogswell-fig6", title="The SegNet's loss, judged by the proposals it picks",
    source="Cogswell et al. 2014, Fig. 6 (its values are those of Table 2)",
    paper_data=_PAPER_DATA, data=_DATA,
    columns=("Loss", "Average"),
    printed=(PaperLine("SegNet-CE", (47.4,)), PaperLine("SegNet-UIO", (48.5,)),
             PaperLine("SegNet-UIO-CE-combination", (48.7,))),
    rows=_rows("ce", "uoi", "mix"), baseline="ce", bench=PipelineBench,
    pairs=(("mix", "uoi"),), aims={("mix", "ce"): 0.0, ("uoi", "ce"): 0.0},
    notes=(*_BASE_NOTES, "All three start from one net trained with cross-entropy; the row CE "
           "goes on with it for as long as the others train with theirs."))

_ABLATED = {
    ("segnet",): 49.0,
    ("classification",): 47.8,
    ("proposal",): 48.1,
    ("segnet", "classification"): None,
    ("segnet", "proposal"): 52.0,
    ("classification", "proposal"): 50.5,
    _GROUPS: 53.1,
}
ABLATION = Table(
    name="cogswell-ablation", title="What each group of features is worth to the re-ranker",
    source="Cogswell et al. 2014, section 5", paper_data=_PAPER_DATA, data=_DATA,
    columns=("Features", "Average"),
    printed=(PaperLine("(1) SegNet", (49.0,)), PaperLine("(2) classification", (47.8,)),
             PaperLine("(3) DivMBest+ReRank", (48.1,)), PaperLine("(2) + (3)", (50.5,)),
             PaperLine("(1) + (3)", (52.0,)), PaperLine("all", (53.1,))),
    rows=(*_rows("map"), *(
        Row("-".join(groups), " + ".join(groups), paper, PipelineRecipe("mix", groups=groups))
        for groups, paper in _ABLATED.items())),
    baseline="map", bench=PipelineBench,
    pairs=tuple(("-".join(_GROUPS), "-".join(groups)) for groups in _ABLATED
                if groups != _GROUPS),
    notes=(*_BASE_NOTES, "The paper prints these figures in its text. For SegNet features alone "
           "it gives 47.4 in one place and 49.0 in another, and for all of them 53 and 53.1; the "
           "pair (1) + (2) it leaves out."))

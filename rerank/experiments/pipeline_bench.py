"""Measure rows of tables by running the pipeline once for each seed and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank.config import Recipe, dump_recipe, load_recipe
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import read_strings
from rerank.engine.scheduler import Execution, run_graph
from rerank.engine.store import Store
from rerank.errors import DataError
from rerank.experiments.comparison import judged_images
from rerank.experiments.seed_result import SeedResult
from rerank.experiments.table_definition import Row, Scope
from rerank.metrics import IntersectionUnion, chosen_counts, mean_image_iou
from rerank.nets.weights_search import WEIGHT_FILES, find_weights
from rerank.reports.populations import Population
from rerank.settings import BackboneSettings
from rerank.stages.oracle import load_curve
from rerank.stages.pages import load_population
from rerank.stages.pipeline import open_pipeline
from rerank.types import IntArray


@dataclass(frozen=True)
class PipelineRecipe:
    """Which labelings of a pipeline run a row counts.

    Attributes
    ----------
    variant : str
        Name of a variant of the recipe; `PipelineBench` holds its settings.
    rule : str
        A rule or baseline of the report; not used with `groups` or `n_proposals`.
    groups : tuple of str
        Groups of features that the ranker of the ablation uses.
    n_proposals : int
        If above 0, the oracle of each image among its first `n_proposals`.
    """

    variant: str
    rule: str = ""
    groups: tuple[str, ...] = ()
    n_proposals: int = 0


class PipelineBench:
    """Runs the pipeline for each seed and variant, and counts its choices (see `Bench`).

    The evaluation images are judged; where the recipe has none, the training images, each by models
    of the other folds. All runs use one store: artefacts that variants, seeds or tables share are
    computed once.

    Parameters
    ----------
    scope : Scope
    name : str
        A built-in recipe.
    variants : mapping of name to settings
        As `rerank run --set` takes them.
    overrides : sequence of str
        Further settings of all variants; those of the scope come last.

    Raises
    ------
    DataError
        If the images or the weights are missing.
    """

    takes_overrides = True

    def __init__(
        self,
        scope: Scope,
        name: str,
        variants: Mapping[str, Sequence[str]],
        overrides: Sequence[str] = (),
    ) -> None:
        self.scope, self.name = scope, name
        self.variants, self.overrides = dict(variants), tuple(overrides)
        backbone = load_recipe(name, [*overrides, *scope.overrides]).backbone
        self._weights = (
            None
            if backbone.weights is None
            else str(find_weights(weight_files(backbone), scope.data_root))
        )
        self._store = Store(scope.pipeline)
        self._graphs: dict[tuple[str, int], Graph] = {}
        self._populations: dict[tuple[str, int], tuple[Graph, Population, float]] = {}
        graph = self._graph(next(iter(self.variants)), 0)
        data = graph.data
        self.class_names = data.train.class_names
        judged = data.evaluate
        if judged is None:
            # They are counted fold by fold.
            judged = data.train.subset(tuple(i for part in graph.parts for i in part.image_ids))
        self.population = "cross_fitted" if data.evaluate is None else "evaluation"
        images = f"{len(data.train)} images of {data.train.split}"
        if data.evaluate is None:
            images += ", each judged by models of the other folds"
        else:
            images += f" to learn from, {len(judged)} of {judged.split} judged"
        self.judged = judged_images(judged, images)

    def recipe(self, variant: str, seed: int) -> Recipe:
        """The built-in recipe with the settings of the variant and the seed.

        Parameters
        ----------
        variant : str
            A name of `variants`.
        seed : int
            The recipe's `random_state`.

        Returns
        -------
        Recipe
        """
        chosen = [
            f"random_state={seed}",
            "report.n_bootstrap=10",
            "report.generators=false",
            *self.overrides,
            *self.variants[variant],
            *self.scope.overrides,
        ]
        if self._weights is not None:
            chosen.append(f"backbone.weights={self._weights}")
        return load_recipe(self.name, chosen)

    def recipe_text(self, variant: str, seed: int) -> str:
        """The full recipe of a run as YAML, to be run by itself with `rerank run`.

        Parameters
        ----------
        variant, seed
            As for `recipe`.

        Returns
        -------
        str
        """
        return dump_recipe(self.recipe(variant, seed))

    def settings(self, row: Row, seed: int) -> Any:
        """What the result depends on: the key of the run's report covers all of it."""
        chosen: PipelineRecipe = row.recipe
        report = self._graph(chosen.variant, seed).task("pages").ref
        return {"report": report.key, "row": vars(chosen), "version": 3}

    def measure(
        self,
        row: Row,
        seed: int,
        place: Path,
        start: Path | None,
        progress: Callable[[float], None],
    ) -> SeedResult:
        """Run what is missing of the pipeline and count the row's labelings.

        The seconds are those of all stages of the row's run, also of stages that another row, or
        an earlier run, has computed.
        """
        chosen: PipelineRecipe = row.recipe
        graph, population, seconds = self._population(chosen.variant, seed)
        counts = self._counts(chosen, graph, population)
        progress(1.0)
        return SeedResult(counts, seconds, {"mean image IoU": 100 * mean_image_iou(counts)})

    def _counts(
        self, chosen: PipelineRecipe, graph: Graph, population: Population
    ) -> IntersectionUnion:
        if chosen.groups:
            return chosen_counts(population.counts, _ablated(graph, chosen.groups))
        if chosen.n_proposals:
            with graph.job("pages").open("oracle") as file:
                curve = load_curve(file, population.name)
            place = list(curve.n_proposals).index(chosen.n_proposals)
            return chosen_counts(population.counts, curve.image_oracle_choice[place])
        if chosen.rule in population.fixed:
            return population.fixed[chosen.rule]
        if chosen.rule in population.choices:
            return chosen_counts(population.counts, population.choices[chosen.rule])
        raise DataError(f"{self._store.root}: no rule {chosen.rule!r} in the run's report")

    def _graph(self, variant: str, seed: int) -> Graph:
        key = variant, seed
        if key not in self._graphs:
            recipe = self.recipe(variant, seed)
            self._graphs[key] = open_pipeline(recipe, self._store, str(self.scope.data_root))
        return self._graphs[key]

    def _population(self, variant: str, seed: int) -> tuple[Graph, Population, float]:
        """The finished run, its evaluation images, and the seconds that its stages took."""
        key = variant, seed
        if key not in self._populations:
            graph = self._graph(variant, seed)
            # Other seeds and variants read the same features.
            run_graph(graph, None, Execution(self.scope.jobs, quiet=True, keep=True))
            costs = [self._store.costs(task.ref) for task in graph.tasks]
            seconds = sum(header.seconds for header in costs if header is not None)
            self._populations[key] = (
                graph,
                load_population(graph.job("pages"), self.population),
                seconds,
            )
        return self._populations[key]


def weight_files(backbone: BackboneSettings) -> tuple[str, ...]:
    """Names of files that hold a recipe's weights: the recipe's own, then those known."""
    return (str(backbone.weights), *WEIGHT_FILES.get(backbone.architecture, ()))


def _ablated(graph: Graph, groups: tuple[str, ...]) -> IntArray:
    with graph.job("pages").open("ablation") as file:
        for key in file:
            if set(read_strings(file[key]["groups"])) == set(groups):
                found: IntArray = file[key]["choice"][()]
                return found
    raise DataError(f"the run's ablation has no subset {' + '.join(groups)}")

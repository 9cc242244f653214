"""What the command line does beside the pipeline: the papers' tables and figures measured anew,
and the dense CRF on a folder of maps. Any room may be used here; none uses what is here."""

from rerank.experiments.dense_crf_files import DenseCRFSettings, refine_files, refine_map
from rerank.experiments.paper_tables import TABLES, reproduce_table
from rerank.experiments.plots import PLOTS, draw_plot, energy_curves

__all__ = [
    "PLOTS",
    "TABLES",
    "DenseCRFSettings",
    "draw_plot",
    "energy_curves",
    "refine_files",
    "refine_map",
    "reproduce_table",
]

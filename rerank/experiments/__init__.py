"""What the command line does beside the pipeline: the papers' tables and figures measured anew,
and the dense CRF on a folder of maps. Any room may be used here; none uses what is here."""

from rerank.experiments.plots import PLOTS, draw_plot, energy_curves
from rerank.experiments.tables import TABLES, reproduce_table

__all__ = ["PLOTS", "TABLES", "draw_plot", "energy_curves", "reproduce_table"]

"""The papers' tables and figures, measured again."""

from rerank.experiments.paper_tables import TABLES, Written, reproduce_table, table_on
from rerank.experiments.plots import PLOTS, draw_plot, energy_curves
from rerank.experiments.table_definition import Scope

__all__ = [
    "PLOTS",
    "TABLES",
    "Scope",
    "Written",
    "draw_plot",
    "energy_curves",
    "reproduce_table",
    "table_on",
]

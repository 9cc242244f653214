"""What the command line does beside the pipeline: the papers' tables and figures measured anew,
and the dense CRF on a folder of maps. Any room may be used here; none uses what is here."""

from rerank.experiments.dense_crf_files import DenseCRFSettings, refine_files, refine_map

__all__ = ["DenseCRFSettings", "refine_files", "refine_map"]

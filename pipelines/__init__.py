"""Batch jobs over the library, and the recipes of the data sets."""

"""Arrays in HDF5 groups, by the name that scripts of earlier versions import."""

from rerank.engine.hdf5 import read_arrays, write_arrays

__all__ = ["read_arrays", "write_arrays"]

"""The tree of errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rerank import errors


def test_every_error_is_a_rerank_error() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    assert errors.InputError in found
    assert all(issubclass(error, errors.RerankError) for error in found)
    assert issubclass(errors.NotFittedError, errors.RerankError)
    assert errors.NotFittedError is errors.NotFittedError
    assert errors.NotFittedError.__module__ == "rerank.errors"


def test_the_errors_do_not_import_scikit_learn() -> None:
    code = "import sys, rerank.errors; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_error_is_an_attribute_error() -> None:
    name = "NoError"
    with pytest.raises(AttributeError, match=r"rerank.errors.*'NoError'"):
        getattr(errors, name)

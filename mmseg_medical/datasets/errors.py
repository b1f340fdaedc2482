"""The one form in which bad data is reported."""

from __future__ import annotations

from pathlib import Path

from mmseg_medical.errors import expectation


class DataError(ValueError):
    """A file or folder is not what a data set needs.

    It is built from one message so that it crosses the border of a data-loading worker unchanged.
    """


def data_error(subject: str | Path, *, expected: str, found: str, remedy: str) -> DataError:
    """Word a :class:`DataError`.

    Args:
        subject (str or Path): The file, folder or case that is wrong.
        expected (str): What it should have been.
        found (str): What it is.
        remedy (str): What the user can do, with the config key where there is one.

    Returns:
        DataError: Ready to be raised.
    """
    return DataError(expectation(subject, expected=expected, found=found, remedy=remedy))

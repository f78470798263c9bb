"""Errors that a file can cause: one family, so that a program can catch them all."""

from __future__ import annotations


class UnusableFileError(ValueError):
    """A file that cannot be used; the message says which, why, and what to do.

    Whatever a file holds, reading it ends with its contents or with this error.
    """


class ModelFileError(UnusableFileError):
    """A model file (X.model, X.json, X.safetensors) that cannot be used or written."""


class ConvertError(UnusableFileError):
    """A checkpoint that cannot be converted."""

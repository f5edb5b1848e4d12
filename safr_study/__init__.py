"""Distributed hyperparameter studies of interpretable text classifiers (SAFR)."""

__version__ = "0.1.0"

"""Pictures: data in, file out."""

from safr_study.figures.front import front_figure

__all__ = ["front_figure"]

"""Explain: what one model makes of one text."""

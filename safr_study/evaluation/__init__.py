"""Deletion metrics of a trained model: rank its tokens, delete, predict again, score."""

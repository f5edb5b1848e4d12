"""Evaluate: one trained model measured on a split, and retrained without its top words."""

"""Nets under a rebuilding: what older code wrote, and newer code must still say, read and draw."""

"""A study as one file: written for somebody else, and taken into their home."""

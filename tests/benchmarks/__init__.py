"""What the search saves: a table of trainings, searches replayed over it, and the same live."""

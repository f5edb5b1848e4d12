"""Report: a study as one page that needs no network."""

"""What all features share: the stores, results, provenance and cost of a study."""

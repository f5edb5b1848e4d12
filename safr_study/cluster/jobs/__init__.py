"""Studies as jobs of a remote Ray cluster, through Ray's Jobs API."""

"""Ray, started here or joined: what its nodes have, what a trial takes of them, its jobs."""

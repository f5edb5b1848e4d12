"""The paper's tables and figures from our own runs, each run trained once."""

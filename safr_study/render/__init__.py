"""Results in words, tables and HTML: for the terminal, for files, for pages."""

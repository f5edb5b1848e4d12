"""``predict``: a file of texts, and the file of its predictions."""

"""Search spaces, one YAML file each; packaged, so that a name finds its file."""

"""Pictures: data in, file or SVG out."""

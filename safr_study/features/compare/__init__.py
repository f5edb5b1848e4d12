"""Compare: several studies with one measure."""

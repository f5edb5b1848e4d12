"""Fast forms of the model's functions; tests hold them equal to the textbook forms next door."""

"""The use cases, next to each other: each folder or file is one command of the user's."""

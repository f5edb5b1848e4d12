"""The use cases, one function each; the only place where the study and its tracking meet.

Nothing is imported here, so that a command pays only for what it uses.
"""

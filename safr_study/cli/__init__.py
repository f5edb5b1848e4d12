"""The command line: parse, call one workflow, print, set the exit code.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

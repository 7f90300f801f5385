"""The verbs of the command line, one file per group; `cli.py` is the table."""

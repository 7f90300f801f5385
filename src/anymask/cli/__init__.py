"""The verbs of the command line, one file per group; `app.py` is the table."""

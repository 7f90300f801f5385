"""The boundary benchmark of BSDS500: where edge maps come from, how they are matched, what is scored."""

"""The same for very many photos: processes, runs that can be interrupted and continued, summaries."""

"""`segment_anything.utils`."""

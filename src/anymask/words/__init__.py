"""Words: what a phrase means, where it is in a photo, and what a mask is called."""

"""The studio: the data engine of one project over HTTP, for a browser. Needs the extra `studio`."""

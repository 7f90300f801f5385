"""The store of a project: images, annotations as append-only events, tasks, jobs, models. SQL; no web."""

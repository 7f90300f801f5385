"""One prompt in, candidates out: encode, decode, post-process, refine; box and edge detectors."""

"""Finding a model: names, files, cards, downloads. Does not run one."""

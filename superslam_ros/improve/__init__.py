"""SuperPoint improved on recordings: evidence, tracks, structure, labels, and what is held out to judge by."""

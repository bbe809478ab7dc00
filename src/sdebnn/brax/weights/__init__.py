"""Networks whose weights move through depth: the weight process, its paths, and the blocks."""

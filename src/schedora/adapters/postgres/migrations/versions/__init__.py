"""One file a revision; each is numbered, and knows the one before."""

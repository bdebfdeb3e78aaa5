"""An exhaustive check of the engine on its memory store: every state that a small system can come to, one transaction at a time."""

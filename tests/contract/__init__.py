"""What every adapter of a port promises, held against each adapter in turn."""

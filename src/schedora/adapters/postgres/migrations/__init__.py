"""The migrations, in a package so that they come with the wheel."""

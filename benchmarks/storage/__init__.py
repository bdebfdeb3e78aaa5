"""Which tables hold the jobs: candidates for the storage measured against each other on one server."""

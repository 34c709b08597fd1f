"""One file a resource. A route reads the request, calls a service, shapes the answer, and nothing else."""

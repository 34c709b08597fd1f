"""Processing of videos, in processes of their own.

`queue.py` hands them out, `worker.py` does the work, `pool.py` keeps workers running. A worker that dies, by a hostile
file or by the operator's hand, loses its lease and nothing else.
"""

"""Processes videos in processes of their own.

`queue.py` hands videos out, `worker.py` does the work, and `pool.py` keeps workers running. A worker that dies, of a
hostile file or because the operator kills it, loses its lease and nothing else.
"""

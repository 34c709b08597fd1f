"""Small models of random weights, one module a family; `build_parity.py` runs them all."""

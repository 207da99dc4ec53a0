"""Ways to run an exported network: one module per inference library."""

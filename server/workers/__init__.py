"""Sessions in processes of their own, which a front places them in."""

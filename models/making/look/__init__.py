"""An avatar as pictures: its clips, tracks, joins and seams, and what its mouth does."""

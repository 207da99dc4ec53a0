"""Assembling an avatar's folder from rendered clips, face tracks, a mask and a mouth renderer."""

"""Making a mouth renderer: rendered mouths to a network, a mask, and the figures that say how good they are."""

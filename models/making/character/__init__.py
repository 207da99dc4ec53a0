"""The embedded avatar `ava`: a presenter built from a scanned head, rendered with Cycles into clips and mouth crops."""

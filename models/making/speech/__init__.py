"""Making the speech encoder: a corpus of synthetic speech, targets, training, evaluation, export."""

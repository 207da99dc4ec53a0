"""Speech synthesisers that tell when each phone is spoken: each is an iterator over utterances of one voice."""

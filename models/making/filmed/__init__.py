"""An avatar of plain footage: films of a person who idles, listens, talks and makes gestures become its clips."""

"""Whether lips are true: the encoder against known phones, and the finished film seen by a face tracker."""

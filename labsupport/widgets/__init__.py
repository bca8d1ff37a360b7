"""What a reader moves: controls, a picture that follows, a real run."""

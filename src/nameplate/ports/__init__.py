"""What the rules need from outside, as Protocols: the store and the source of client documents."""

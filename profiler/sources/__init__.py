"""Source verification: what an address is by its owner's word and by its names, before it did anything."""

"""What the extension decides, without Krita, Qt, network, clock or chance: events go in, effects come out."""

"""From hits of a device to single, episode, sustained (school.md, signal against noise). Pure; no store."""

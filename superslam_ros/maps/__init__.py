"""Maps that are kept: keyframes of many sessions, their landmarks, and where a camera is among them."""

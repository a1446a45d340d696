"""Pure functions of multi-view geometry: cameras, poses, PnP, two views."""

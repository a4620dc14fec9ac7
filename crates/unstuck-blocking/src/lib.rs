//! Part of unstuck.

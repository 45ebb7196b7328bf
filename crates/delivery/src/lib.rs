//! Making one member match: waves, apply, inventory, availability.

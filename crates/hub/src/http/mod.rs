//! What a hub serves over HTTP.

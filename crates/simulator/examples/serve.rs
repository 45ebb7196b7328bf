//! Serves a hub and some members until it is stopped, and prints a kubeconfig for them.
//!
//! ```text
//! cargo run -p simulator --example serve -- 12 > kubeconfig
//! kubectl --kubeconfig kubeconfig --context member-1 get nodes
//! ```

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;

use simulator::{ClusterOptions, Fleet, serve};

fn main() -> Result<(), Box<dyn Error>> {
    let members: usize = std::env::args().nth(1).map_or(Ok(3), |it| it.parse())?;
    let fleet = Fleet::new();
    let mut names = vec!["hub".to_owned()];
    names.extend((1..=members).map(|number| format!("member-{number}")));
    for (seed, name) in (0..).zip(&names) {
        let options = ClusterOptions { seed, ..ClusterOptions::default() };
        fleet.add_cluster(name, options.with_nodes(3, 8, 32))?;
    }
    let server = serve(&fleet, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let contexts: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let mut out = std::io::stdout();
    out.write_all(server.kubeconfig(&contexts).as_bytes())?;
    out.flush()?;
    loop {
        std::thread::park();
    }
}

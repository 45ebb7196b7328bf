//! `taffrail hub`: runs until it is told to end.

use std::io::{self, Write};
use std::path::PathBuf;

use actix_rt::SystemRunner;
use anyhow::{Result, bail};

use crate::cli::{Global, configuration};
use crate::config;
use crate::private;
use crate::serve::{self, ServeConfig};
use crate::signals::Signals;
use crate::telemetry::{self, LogFormat, Telemetry};

/// Run a hub.
///
/// The smallest configuration is one line, `data_dir = "data"`; everything else has a default: the
/// log is one file in the data directory, the hub is what $KUBECONFIG says, and the HTTP API
/// listens on 127.0.0.1:8321.
///
/// SIGTERM and Ctrl-C end it in order: no more inputs, what is being decided is waited for,
/// partitions are handed over. A second one ends it at once.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = format!("All of taffrail.toml:\n\n{}", config::EXAMPLE)
)]
pub(crate) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<()> {
    let config = configuration(&args.config)?;
    private::from_now_on();
    system(config.threads).block_on(async {
        let _telemetry = Telemetry::with_traces(global.log_format, telemetry::HUB)?;
        serve_until_told(config, global.log_format).await
    })
}

/// An actix system on a runtime with as many threads.
pub(crate) fn system(threads: usize) -> SystemRunner {
    actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("threads can be started")
    })
}

async fn serve_until_told(config: ServeConfig, format: LogFormat) -> Result<()> {
    let say = |step: &str| say(format, step);
    let mut signals = Signals::listen()?;
    say(&format!("taffrail {}", env!("CARGO_PKG_VERSION")));
    let starting = serve::start(config, say);
    let running = tokio::select! {
        running = starting => running?,
        name = signals.next() => bail!("{name} before the hub had started"),
    };
    say("started; look around with: taffrail status");

    let name = signals.next().await;
    say(&format!("{name}: ending in order; once more ends at once"));
    tokio::select! {
        ended = running.shutdown() => ended?,
        name = signals.next() => bail!("{name} again: ended at once"),
    }
    say("ended");
    Ok(())
}

/// Tells of a step. Standard output is for answers; this is not one.
fn say(format: LogFormat, step: &str) {
    match format {
        // Nobody can be told when standard error is closed.
        LogFormat::Text => drop(writeln!(io::stderr(), "{step}")),
        LogFormat::Json => tracing::info!("{step}"),
    }
}

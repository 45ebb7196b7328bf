//! Writes the CRDs as YAML, or checks that what is there is current.
//!
//! `cargo run -p api --example crds -- --write deploy/crds`
//! `cargo run -p api --example crds -- --check deploy/crds`

use std::path::Path;
use std::process::ExitCode;

use api::crds;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--write", folder] => write(Path::new(folder)),
        ["--check", folder] => check(Path::new(folder)),
        _ => Err("usage: crds --write FOLDER | --check FOLDER".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), String> {
    let differences = crds::differences(folder).map_err(|error| error.to_string())?;
    for difference in differences {
        let path = folder.join(difference.file());
        let done = match difference {
            crds::Difference::Unknown { .. } => std::fs::remove_file(&path),
            crds::Difference::Stale { content, .. } => std::fs::write(&path, content),
        };
        done.map_err(|error| format!("cannot update {}: {error}", path.display()))?;
    }
    Ok(())
}

fn check(folder: &Path) -> Result<(), String> {
    let differences = crds::differences(folder).map_err(|error| error.to_string())?;
    if differences.is_empty() {
        return Ok(());
    }
    let files: Vec<_> = differences.iter().map(|it| format!("  {}", it.file())).collect();
    Err(format!("these CRDs are not current; run `cargo xtask crds`:\n{}", files.join("\n")))
}

//! What the doctor finds, told by the program.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use crate::common::{answer, done};

/// What the doctor prints, in whatever state things are.
fn doctor(arguments: &str) -> String {
    String::from_utf8(answer(&format!("doctor {arguments}")).stdout).unwrap()
}

fn config(dir: &Path, data_dir: &str, log: &str) -> String {
    let file = dir.join("taffrail.toml");
    let text = format!("data_dir = \"{data_dir}\"\n[log.embedded]\npath = \"{log}/log.redb\"\n");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn regression_a_data_directory_of_another_log_is_found_before_a_hub_starts() {
    let dir = tempfile::tempdir().unwrap();
    for data in ["one", "two"] {
        done(&format!("demo --script --clusters 1 --data {}", dir.path().join(data).display()));
    }
    let said = doctor(&format!("--config {}", config(dir.path(), "one", "one")));
    assert!(said.contains("32 partitions") && !said.contains("belongs to"), "{said}");
    let said = doctor(&format!("--config {}", config(dir.path(), "one", "two")));
    assert!(said.contains("one belongs to deployment"), "{said}");
    assert!(said.contains("or give it an empty data_dir"), "{said}");
}

#[test]
fn regression_another_program_where_the_hub_should_be_is_told_from_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            drop(stream.read(&mut request));
            let answer = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\nno such page\n";
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    let said = doctor(&format!("--server http://{address}"));
    assert!(said.contains(&format!("http://{address} is not a hub")), "{said}");
    let said = doctor("--server http://127.0.0.1:9");
    assert!(said.contains("http://127.0.0.1:9 does not answer"), "{said}");
}

//! What the tests of the program share: the program as a process, and manifests as kubectl would
//! apply them.

use std::ffi::OsStr;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, Config, ResourceExt};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// How long the program may take to say or to end something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, to be told more. It knows nothing of the tester's own environment.
pub(crate) fn taffrail<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["KUBECONFIG", "TAFFRAIL_SERVER", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// What the program answers to a command line.
pub(crate) fn answer(line: &str) -> Output {
    taffrail(line.split_whitespace()).output().expect("the program can be run")
}

/// The same, for a command that has to succeed: what it prints.
pub(crate) fn done(line: &str) -> String {
    let output = answer(line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "taffrail {line}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// A program that runs beside the test: what it says is kept, and it ends with the test.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let said = Arc::new(Mutex::new(vec![]));
        let output = child.stdout.take().expect("it is piped");
        let errors = child.stderr.take().expect("it is piped");
        keep(BufReader::new(output), said.clone());
        keep(BufReader::new(errors), said.clone());
        Self { child, said }
    }

    /// Waits for a line that starts like this, and gives the rest of it.
    pub(crate) fn said(&self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said.lock().expect("not poisoned").clone();
            if let Some(rest) = said.iter().find_map(|line| line.strip_prefix(start)) {
                return rest.trim().to_owned();
            }
            assert!(Instant::now() < deadline, "it never said {start:?}, but {said:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).expect("it is a process id");
        kill_process(Pid::from_raw(pid).expect("it is one"), Signal::TERM).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:#?}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn keep(lines: impl std::io::BufRead + Send + 'static, said: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            said.lock().expect("not poisoned").push(line);
        }
    });
}

/// A client of a context of a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path, context: &str) -> Client {
    let parsed = Kubeconfig::read_from(kubeconfig).expect("it is a kubeconfig");
    let options =
        KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(parsed, &options).await.expect("it is complete");
    Client::try_from(config).expect("it is complete")
}

/// A folder of `examples`.
pub(crate) fn examples(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder)
}

/// Applies the manifests of a folder, as `kubectl apply -f` does.
pub(crate) async fn apply(client: &Client, folder: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("it is a folder")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut objects = vec![];
    for file in &files {
        let text = std::fs::read_to_string(file).expect("it can be read");
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            objects.push(DynamicObject::deserialize(document).expect("it is an object"));
        }
    }
    // kubectl takes files in order of their names; a namespace may come after what is in it.
    objects.sort_by_key(|object| object.metadata.namespace.is_some());
    for object in &objects {
        apply_one(client, object).await;
    }
}

async fn apply_one(client: &Client, object: &DynamicObject) {
    let types = object.types.as_ref().expect("it has a kind");
    let kind = GroupVersionKind::try_from(types).expect("it has a version");
    let (resource, capabilities) = pinned_kind(client, &kind).await.expect("it is served");
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (Scope::Namespaced, Some(namespace)) => {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("kubectl");
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(object)).await.expect("it is taken");
}

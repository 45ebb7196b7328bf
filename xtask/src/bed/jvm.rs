//! How a Kafka node's Java virtual machine is started: small, and fast by class data sharing.
//!
//! The first use after the jars were fetched runs a broker once and keeps two things beside
//! them: an archive of the loaded classes, which halves the start-up of later nodes, and the
//! `bootstrap.checkpoint` that `StorageTool format` writes, which is the same for every node of
//! every cluster of a version; a node's directory is formatted by copying it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{cache, group::Group, kafka::Kafka, parts::KAFKA_VERSION, random};

const CLASSES: &str = "classes.jsa";
const CHECKPOINT: &str = "bootstrap.checkpoint";
const LOGGING: &str = "log4j2.properties";

/// An idle broker needs 150 MB with these and is as fast as with a gigabyte; the heap's limit is
/// twice what a few clients fill, for the topics of a whole test run.
const OPTIONS: &[&str] = &[
    "-Xms32m",
    "-Xmx192m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
];

/// How long the virtual machine may take to write its archive of classes when it ends: two
/// seconds on an idle machine, far more on one that compiles Kubernetes at the same time.
const ARCHIVE_DEADLINE: Duration = Duration::from_secs(300);

/// The log's text is read for the line that says "started".
const LOGGING_CONFIG: &str = "\
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c{1})%n
";

/// The virtual machine with the broker's jars.
#[derive(Debug)]
pub(crate) struct Jvm {
    pub(crate) program: PathBuf,
    part: PathBuf,
    class_path: String,
    class_archive: String,
}

/// The virtual machine for the broker in `part`; warms it up when this was never done.
pub(crate) fn prepare(part: &Path) -> Result<Jvm> {
    let program = env::var_os("JAVA_HOME")
        .map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin").join("java"));
    let archive = part.join(CLASSES);
    let jvm = Jvm {
        program,
        part: part.to_owned(),
        class_path: class_path(&part.join("libs"))?,
        class_archive: format!("-XX:SharedArchiveFile={}", archive.display()),
    };
    if !archive.is_file() {
        let _lock = cache::lock(&format!("kafka-{KAFKA_VERSION}-classes"))?;
        if !archive.is_file() {
            jvm.warm_up(&archive).context("prepare Kafka's class archive")?;
        }
    }
    Ok(jvm)
}

impl Jvm {
    /// Arguments that run a node.
    pub(crate) fn server_args(&self, properties: &Path) -> Vec<String> {
        let logging = self.part.join(LOGGING);
        let mut args: Vec<String> = OPTIONS.iter().map(|&option| option.to_owned()).collect();
        args.extend([
            self.class_archive.clone(),
            format!("-Dlog4j2.configurationFile={}", logging.display()),
            "-cp".to_owned(),
            self.class_path.clone(),
            "kafka.Kafka".to_owned(),
            properties.display().to_string(),
        ]);
        args
    }

    /// Formats a node's data directory.
    pub(crate) fn format(
        &self,
        data: &Path,
        properties: &Path,
        id: u32,
        cluster_id: &str,
    ) -> Result<()> {
        let checkpoint = self.part.join(CHECKPOINT);
        if !checkpoint.is_file() {
            return self.format_with_tool(data, properties, cluster_id);
        }
        let directory_id = random::kafka_uuid()?;
        let meta = format!(
            "version=1\ncluster.id={cluster_id}\nnode.id={id}\ndirectory.id={directory_id}\n"
        );
        fs::copy(&checkpoint, data.join(CHECKPOINT))
            .and_then(|_| fs::write(data.join("meta.properties"), meta))
            .with_context(|| format!("format {}", data.display()))
    }

    fn format_with_tool(&self, data: &Path, properties: &Path, cluster_id: &str) -> Result<()> {
        let output = Command::new(&self.program)
            .args(OPTIONS)
            .args(["-cp", &self.class_path, "kafka.tools.StorageTool", "format", "-t", cluster_id])
            .arg("-c")
            .arg(properties)
            .stdin(Stdio::null())
            .output()
            .context("run java: install a Java 17 (Debian: openjdk-17-jdk-headless)")?;
        if !output.status.success() {
            bail!(
                "format {}: {}\n{}{}",
                data.display(),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
        }
        Ok(())
    }

    /// Runs one node once and keeps its class archive and its checkpoint. The archive is the
    /// last file that appears: with it, everything is there.
    fn warm_up(&self, archive: &Path) -> Result<()> {
        eprintln!("bed: warm Kafka up (once)");
        fs::write(self.part.join(LOGGING), LOGGING_CONFIG)?;
        let scratch = tempfile::Builder::new().prefix("taffrail-kafka-").tempdir()?;
        let fresh = archive.with_extension("fresh");
        let recorder = Self {
            program: self.program.clone(),
            part: self.part.clone(),
            class_path: self.class_path.clone(),
            class_archive: format!("-XX:ArchiveClassesAtExit={}", fresh.display()),
        };
        let group = Arc::new(Group::start(Some(scratch.path()))?);
        let kafka = Kafka::lay_out(&group, &recorder, scratch.path(), 1, &[])?;
        kafka.start_nodes(&[1])?;
        let checkpoint = scratch.path().join("kafka-1").join("data").join(CHECKPOINT);
        fs::copy(&checkpoint, self.part.join(CHECKPOINT))
            .with_context(|| format!("keep {}", checkpoint.display()))?;
        kafka.stop_all_within(ARCHIVE_DEADLINE)?;
        fs::rename(&fresh, archive).with_context(|| format!("keep {}", fresh.display()))
    }
}

/// All jars by name. The archive of classes is valid for this very list only, so its order must
/// not depend on the file system.
fn class_path(libs: &Path) -> Result<String> {
    let mut jars = Vec::new();
    for entry in fs::read_dir(libs).with_context(|| format!("list {}", libs.display()))? {
        jars.push(entry?.path().display().to_string());
    }
    jars.sort();
    Ok(jars.join(":"))
}

//! `cargo xtask codegen [--check]`: service models (botocore's and our own) and the manifest in, Rust out.
//!
//! Only facts are taken from the models (names, constraints, bindings, errors), never their
//! documentation. The same input gives the same bytes; `--check` fails on any difference.

mod emit;
mod model;
mod names;
mod service;
mod source;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// A generated file may have at most this many lines; one of an operation, `OPERATION_LINES_MAX`.
const LINES_MAX: usize = 800;
const OPERATION_LINES_MAX: usize = 400;

/// The services in the order of their modules, with the models' API versions.
const SERVICES: &[service::Spec] = &[
    service::Spec {
        name: "cloudtrail",
        variant: "CloudTrail",
        version: "2013-11-01",
        api_page: "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_",
    },
    service::Spec {
        name: "iam",
        variant: "Iam",
        version: "2010-05-08",
        api_page: "https://docs.aws.amazon.com/IAM/latest/APIReference/API_",
    },
    service::Spec {
        name: "kms",
        variant: "Kms",
        version: "2014-11-01",
        api_page: "https://docs.aws.amazon.com/kms/latest/APIReference/API_",
    },
    service::Spec {
        name: "s3",
        variant: "S3",
        version: "2006-03-01",
        api_page: "https://docs.aws.amazon.com/AmazonS3/latest/API/API_",
    },
    service::Spec {
        name: "sts",
        variant: "Sts",
        version: "2011-06-15",
        api_page: "https://docs.aws.amazon.com/STS/latest/APIReference/API_",
    },
    service::Spec { name: "writ", variant: "Writ", version: "2026-11-01", api_page: "" },
];

/// The services whose models are our own, under [`OWN_MODELS`], in the form of botocore's.
const OWN: &[&str] = &["writ"];
const OWN_MODELS: &str = "crates/aws/models";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask codegen [--check]"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent")?;
    let botocore = source::fetch(root)?;
    let target = root.join("crates/aws/src/generated");
    let manifest = model::Manifest::read(&root.join("crates/aws/operations.toml"))?;

    let mut files = BTreeMap::new();
    files.insert(PathBuf::from("NOTICE"), source::notice(&botocore)?);
    files.insert(PathBuf::from("mod.rs"), root_module());
    for spec in SERVICES {
        let own = OWN.contains(&spec.name);
        let models = if own { root.join(OWN_MODELS) } else { botocore.join("botocore/data") };
        let path = models.join(spec.name).join(spec.version);
        let model = model::Model::read(&path.join("service-2.json"))?;
        for (file, text) in service::generate(spec, &model, manifest.of(spec.name))? {
            files.insert(Path::new(spec.name).join(file), text);
        }
    }
    for (path, text) in &mut files {
        if path.extension().is_some_and(|extension| extension == "rs") {
            *text = format(text).with_context(|| format!("formatting {}", path.display()))?;
            let shared = path.components().any(|part| part.as_os_str() == "shapes");
            let known = path.ends_with("known.rs");
            let limit = if shared || known { LINES_MAX } else { OPERATION_LINES_MAX };
            let lines = text.lines().count();
            ensure!(lines <= limit, "{} has {lines} lines, more than {limit}", path.display());
        }
    }
    let changed = compare(&target, &files)?;
    if check {
        ensure!(changed.is_empty(), "not as generated, run cargo xtask codegen: {changed:?}");
    } else {
        write(&target, &files, &changed)?;
    }
    println!("codegen: {} files, {} changed", files.len(), changed.len());
    Ok(())
}

fn root_module() -> String {
    let mut text = format!("{}\n", emit::HEADER);
    text.push_str("//! Types and tables of the services, generated from botocore's models.\n\n");
    for spec in SERVICES {
        text.push_str(&format!("pub mod {};\n", spec.name));
    }
    text
}

fn format(text: &str) -> anyhow::Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "max_width=100,use_small_heuristics=Max"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt")?;
    let mut input = child.stdin.take().context("rustfmt has no standard input")?;
    let owned = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(owned.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer to rustfmt panicked"))??;
    ensure!(output.status.success(), "rustfmt refused:\n{text}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The paths that differ, are missing, or should not be there.
fn compare(target: &Path, files: &BTreeMap<PathBuf, String>) -> anyhow::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    for (path, text) in files {
        if std::fs::read_to_string(target.join(path)).ok().as_ref() != Some(text) {
            changed.push(path.clone());
        }
    }
    let mut folders = vec![target.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(target)?.to_owned();
                if !files.contains_key(&relative) {
                    changed.push(relative);
                }
            }
        }
    }
    Ok(changed)
}

fn write(
    target: &Path,
    files: &BTreeMap<PathBuf, String>,
    changed: &[PathBuf],
) -> anyhow::Result<()> {
    for path in changed {
        let full = target.join(path);
        match files.get(path) {
            Some(text) => {
                std::fs::create_dir_all(full.parent().context("no parent folder")?)?;
                std::fs::write(&full, text)?;
            }
            None => std::fs::remove_file(&full)?,
        }
    }
    Ok(())
}

//! `writ runbook make`: entries of the runbooks that come with Writ.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use writ_agent::runbook::program::STATES;
use writ_model::{Env as _, SystemEnv};
use writ_proof::at_most::AtMost;
use writ_proof::hash::{Hash, Hasher};
use writ_proof::roster::GroupName;
use writ_proof::runbook::{
    Argument, Class, Entry, Field, FieldKind, Output, Parameter, ParameterKind, Program, Steps,
};
use writ_proof::statement::Signed;

use super::words;
use crate::access::WhoArgs;
use crate::roster::spare_signed;
use crate::up::data::write_durably;

/// What `writ runbook make` takes.
#[derive(clap::Args)]
pub struct MakeArgs {
    /// Which: disk-usage, service-status or service-restart.
    #[arg(value_parser = ["disk-usage", "service-restart", "service-status"])]
    name: String,
    /// The permission group whose members may ask for it.
    #[arg(long)]
    group: GroupName,
    /// Its version: one more than the newest in the catalogue.
    #[arg(long, default_value_t = 1)]
    version: u64,
    /// The program on the hosts: the same `writ` as their agents.
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/writ")]
    program: PathBuf,
    /// SHA-256 of that file; of this machine's if not given.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Hash>,
    /// A folder whose file system may be asked for: `root`, or such as `var` or `var.log`; repeatable.
    #[arg(long, value_name = "NAME")]
    mount: Vec<String>,
    /// A service that may be named; repeatable.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// What looks after the services.
    #[arg(long, default_value = "systemd", value_parser = ["runit", "systemd"])]
    supervisor: String,
    /// The folder of runit's services.
    #[arg(long, value_name = "PATH", default_value = "/etc/service")]
    folder: String,
    /// The host's user that it runs as; `nobody` for disk-usage and `root` for services if not given.
    #[arg(long, value_name = "USER")]
    run_as: Option<String>,
    /// Where the entry is written; NAME.entry if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace that file also where people have signed it.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    who: WhoArgs,
}

/// Makes it.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &MakeArgs) -> Result<()> {
    let file = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.entry", args.name)));
    if !args.overwrite {
        spare_signed(&file, "publish")?;
    }
    let (_, roster) = args.who.source.roster()?;
    let digest = match args.digest {
        Some(digest) => digest,
        None => digest_of(&args.program)?,
    };
    let program = std::path::absolute(&args.program)?;
    let path = program.to_str().context("the program's path is no text")?.to_owned();
    let (title, description, class) = about(&args.name);
    let (parameters, arguments) = told(args)?;
    let fallback = if args.name == "disk-usage" { "nobody" } else { "root" };
    let entry = Entry {
        v: Default::default(),
        site: roster.site().clone(),
        name: args.name.parse()?,
        version: args.version,
        title: title.to_owned(),
        description: description.to_owned(),
        class,
        group: args.group.clone(),
        parameters: AtMost(parameters),
        program: Program { path, digest },
        arguments: AtMost(arguments),
        run_as: args.run_as.clone().unwrap_or_else(|| fallback.to_owned()),
        seconds: 30,
        memory_mib: 256,
        output: Output { fields: AtMost(fields(&args.name)) },
        created: SystemEnv.now(),
    };
    entry.check()?;
    let signed = Signed::new(&entry)?;
    write_durably(&std::path::absolute(&file)?, &signed.to_bytes(), 0o644)
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    print!("{}", words(&entry));
    println!("\nwritten to {}; then `writ runbook sign {0}`", file.display());
    Ok(())
}

fn about(name: &str) -> (&'static str, &'static str, Class) {
    match name {
        "disk-usage" => (
            "Disk usage",
            "Says how full one file system of a host is, in steps of one per cent. It opens no file.",
            Class::Health,
        ),
        "service-restart" => (
            "Service restart",
            "Restarts one of the named services through its supervisor, and says whether it runs again.",
            Class::Platform,
        ),
        _ => (
            "Service status",
            "Says whether one of the named services runs, and for how many minutes. It reads what its supervisor knows.",
            Class::Health,
        ),
    }
}

fn told(args: &MakeArgs) -> Result<(Vec<Parameter>, Vec<Argument>)> {
    let literal = |text: &str| Argument::Literal(text.to_owned());
    let (name, words) = match args.name.as_str() {
        "disk-usage" if args.mount.is_empty() => ("mount", vec!["root".to_owned()]),
        "disk-usage" => ("mount", args.mount.clone()),
        _ if args.service.is_empty() => {
            bail!("name each service that may be asked for with --service")
        }
        _ => ("service", args.service.clone()),
    };
    let kind = ParameterKind::Enum(AtMost(words));
    let parameter = Parameter { name: name.to_owned(), kind };
    let mut arguments = vec![literal("agent"), literal("program"), literal(&args.name)];
    if name == "service" {
        arguments.extend([literal("--supervisor"), literal(&args.supervisor)]);
        arguments.extend([literal("--folder"), literal(&args.folder)]);
    }
    arguments.extend([literal(&format!("--{name}")), Argument::Parameter(name.to_owned())]);
    Ok((vec![parameter], arguments))
}

fn fields(name: &str) -> Vec<Field> {
    let field = |name: &str, kind| Field { name: name.to_owned(), optional: false, kind };
    let number = |max, step| FieldKind::Int(Steps { min: 0, max, step });
    let state = || {
        let states = STATES.iter().map(|state| (*state).to_owned()).collect();
        field("state", FieldKind::Enum(AtMost(states)))
    };
    match name {
        "disk-usage" => vec![
            field("used_percent", number(100, 1)),
            field("files_percent", number(100, 1)),
            field("size_gib", number(1 << 20, 1)),
        ],
        "service-restart" => vec![field("restarted", FieldKind::Bool), state()],
        _ => vec![
            state(),
            field("wanted", FieldKind::Bool),
            Field { optional: true, ..field("up_minutes", number(1 << 20, 1)) },
        ],
    }
}

fn digest_of(path: &Path) -> Result<Hash> {
    let told = || format!("`{}` cannot be read: name the program with --program", path.display());
    let mut file = File::open(path).with_context(told)?;
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut chunk)?;
        match chunk.get(..count) {
            Some(read) if !read.is_empty() => hasher.update(read),
            _ => return Ok(hasher.finish()),
        }
    }
}

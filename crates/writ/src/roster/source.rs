//! Where a roster comes from: a listener, or the ledger of a data directory.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use writ_proof::Hash;
use writ_proof::leaf::Kind;
use writ_proof::origin::LogName;
use writ_proof::roster::{Genesis, Roster};
use writ_proof::statement::{Namespace, Signed};
use writ_trail::reader::Reader;

use super::client::Client;
use crate::up::data::ledger;
use crate::up::ready;

/// Which installation.
#[derive(clap::Args)]
pub struct SourceArgs {
    /// The data directory of a `writ up`; its ledger is read if it is stopped.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    pub data: PathBuf,
    /// Its listener instead, such as `https://writ.example:8440`.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The authority of the listener's certificate, for https.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    pub ca: Option<PathBuf>,
    /// SHA-256 of the genesis statement, as it was handed out; nothing else says whose roster this is.
    #[arg(long, value_name = "SHA256")]
    pub genesis: Option<Hash>,
}

impl SourceArgs {
    /// Genesis and the roster, every statement checked.
    pub fn roster(&self) -> Result<(Genesis, Roster)> {
        // The ledger's files are a little behind; what runs is asked.
        let runs = self.endpoint.is_some() || self.data.join(ready::FILE).exists();
        let (genesis, statements) = if runs { self.client()?.roster()? } else { self.ledger()? };
        Roster::replay(&genesis, self.genesis, &statements)
            .context("the roster does not hold: somebody has changed its history")
    }

    /// The listener: as given, or that of the directory's running installation.
    pub fn client(&self) -> Result<Client> {
        if let Some(url) = &self.endpoint {
            return Client::new(url, self.ca.as_deref());
        }
        let ready = ready::read(&self.data, "; or name its listener with --endpoint")?;
        Client::new(&ready.endpoint, Some(&ready.ca))
    }

    /// The statements of the operator log.
    fn ledger(&self) -> Result<(Signed, Vec<Signed>)> {
        let reader = Reader::open(&ledger(&self.data)?).with_context(|| {
            format!(
                "`{}` holds no ledger that can be read: name a listener with --endpoint",
                self.data.display()
            )
        })?;
        let size = reader.size(LogName::Operator)?;
        let mut statements = Vec::new();
        for line in reader.lines(LogName::Operator, size) {
            let line = line?;
            if line.leaf.kind != Kind::Statement || line.seq == 0 {
                continue;
            }
            let signed = Signed::from_bytes(&line.record)?;
            if signed.namespace() == Namespace::Roster {
                statements.push(signed);
            }
        }
        Ok((reader.genesis().clone(), statements))
    }
}

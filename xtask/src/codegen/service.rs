//! The files of one service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, bail, ensure};

use super::emit::{self, HEADER, Use};
use super::model::{AuditKind, Entry, Model, Operation};
use super::names;

/// Lines of unformatted text after which a file of shared shapes is full.
const CHUNK_LINES: usize = 330;

/// Names that generated files import; no struct may have one of them.
const RESERVED: &[&str] = &[
    "ApiError",
    "Audit",
    "BTreeMap",
    "Bounds",
    "Decode",
    "Encode",
    "Http",
    "Input",
    "List",
    "Listed",
    "Map",
    "Member",
    "Members",
    "Operation",
    "Option",
    "Output",
    "Pattern",
    "Service",
    "Shape",
    "String",
    "TimeFormat",
    "Timestamp",
    "Value",
    "Vec",
];

/// Which service to generate.
pub(crate) struct Spec {
    /// The name in botocore and of the module.
    pub(crate) name: &'static str,
    /// The variant of `Service`.
    pub(crate) variant: &'static str,
    /// The API version.
    pub(crate) version: &'static str,
    /// What stands before an operation's name in the address of its page; empty for our own model.
    pub(crate) api_page: &'static str,
}

struct Service<'m> {
    spec: &'m Spec,
    model: &'m Model,
    operations: Vec<(&'m Operation, &'m Entry)>,
    /// Every shape that an operation needs, with its uses.
    uses: BTreeMap<&'m str, Use>,
    /// Structures that are in one operation's file; all other shapes are shared.
    local: BTreeSet<&'m str>,
}

/// Files by their names within the service's folder.
pub(crate) type Files = Vec<(String, String)>;

/// The files of a service.
pub(crate) fn generate(
    spec: &Spec,
    model: &Model,
    manifest: &BTreeMap<String, Entry>,
) -> anyhow::Result<Files> {
    ensure!(model.metadata.api_version == spec.version, "{} has another version", spec.name);
    let mut operations = Vec::new();
    for (name, entry) in manifest {
        let operation = model.operations.get(name);
        let operation = operation.with_context(|| format!("{} has no {name}", spec.name))?;
        operations.push((operation, entry));
    }
    let mut service =
        Service { spec, model, operations, uses: BTreeMap::new(), local: BTreeSet::new() };
    service.collect()?;

    let mut files = vec![
        ("errors.rs".to_owned(), service.errors()?),
        ("known.rs".to_owned(), service.known()?),
    ];
    for (operation, entry) in &service.operations {
        let file = format!("{}.rs", names::snake(&operation.name));
        files.push((file, service.operation(operation, entry)?));
    }
    let (chunks, shared) = service.shapes()?;
    files.extend(chunks);
    files.push(("mod.rs".to_owned(), service.module(&shared)?));
    Ok(files)
}

impl<'m> Service<'m> {
    fn collect(&mut self) -> anyhow::Result<()> {
        let mut roots: BTreeMap<&str, usize> = BTreeMap::new();
        let mut nested = BTreeSet::new();
        for (operation, _) in self.operations.clone() {
            for (root, input) in [(&operation.input, true), (&operation.output, false)] {
                let Some(root) = root else { continue };
                *roots.entry(root.shape.as_str()).or_default() += 1;
                self.visit(&root.shape, input, &mut nested)?;
            }
        }
        for (name, count) in roots {
            if count == 1 && !nested.contains(name) {
                self.local.insert(name);
            }
        }
        for name in self.uses.keys() {
            let structure = self.model.shape(name)?.r#type == "structure";
            let reserved = structure && RESERVED.contains(&names::camel(name).as_str());
            ensure!(!reserved, "structure `{name}` has a reserved name");
        }
        Ok(())
    }

    fn visit(
        &mut self,
        name: &'m str,
        input: bool,
        nested: &mut BTreeSet<&'m str>,
    ) -> anyhow::Result<()> {
        let used = self.uses.entry(name).or_default();
        if (input && used.input) || (!input && used.output) {
            return Ok(());
        }
        used.input |= input;
        used.output |= !input;
        let shape = self.model.shape(name)?;
        for reference in emit::references(shape) {
            nested.insert(&reference.shape);
            self.visit(&reference.shape, input, nested)?;
        }
        if let Some(item) = &shape.member {
            self.uses.entry(&item.shape).or_default().listed = true;
        }
        Ok(())
    }

    fn used(&self, name: &str) -> Use {
        self.uses.get(name).copied().unwrap_or_default()
    }

    fn imports(text: &mut String, shared: bool) {
        text.push_str("use crate::typed::*;\n");
        if shared {
            text.push_str("use super::shapes::*;\n");
        }
        text.push('\n');
    }

    /// The file of one operation.
    fn operation(&self, operation: &Operation, entry: &Entry) -> anyhow::Result<String> {
        let name = &operation.name;
        let mut text = format!("{HEADER}\n//! {}\n\n", self.page(name));
        let has_members = |reference: &Option<super::model::Reference>| {
            let shape = reference.as_ref().and_then(|r| self.model.shapes.get(&r.shape));
            shape.is_some_and(|shape| !shape.members.0.is_empty())
        };
        Self::imports(&mut text, has_members(&operation.input) || has_members(&operation.output));

        let input_static = match &operation.input {
            Some(input) if self.local.contains(input.shape.as_str()) => {
                let doc = format!("The request of `{name}`.");
                let used = self.used(&input.shape);
                text.push_str(&emit::structure(self.model, &input.shape, &doc, used)?);
                names::screaming(&input.shape)
            }
            Some(input) => bail!("the request `{}` is not of `{name}` alone", input.shape),
            None => {
                let doc = format!("The request of `{name}`, which has no members.");
                text.push_str(&emit::empty_request(&format!("{name}Request"), &doc)?);
                "crate::shape::EMPTY".to_owned()
            }
        };
        let input_type = self.input_type(operation);
        let (output_type, output_static) = match &operation.output {
            Some(output) => {
                if self.local.contains(output.shape.as_str()) {
                    let doc = format!("The reply of `{name}`.");
                    let used = self.used(&output.shape);
                    text.push_str(&emit::structure(self.model, &output.shape, &doc, used)?);
                    writeln!(text, "impl Output for {} {{}}\n", names::camel(&output.shape))?;
                }
                (names::camel(&output.shape), names::screaming(&output.shape))
            }
            None => ("()".to_owned(), "crate::shape::EMPTY".to_owned()),
        };
        let wrapper = operation.output.as_ref().and_then(|output| output.result_wrapper.as_ref());
        let audit = match entry.audit {
            AuditKind::Data => "Data",
            AuditKind::Management => "Management",
        };
        write!(
            text,
            "impl Input for {input_type} {{\n\
             const OPERATION: &'static Operation = &OPERATION;\n\
             type Output = {output_type};\n}}\n\n\
             /// `{name}`.\n\
             pub static OPERATION: Operation = Operation {{\n\
             service: Service::{variant},\nname: {name:?},\n\
             http: Http {{ method: {method:?}, uri: {uri:?}, status: {status} }},\n\
             input: &{input_static},\noutput: &{output_static},\n\
             result_wrapper: {wrapper:?},\nread_only: {read_only},\naudit: Audit::{audit},\n}};\n",
            variant = self.spec.variant,
            method = operation.http.method,
            uri = operation.http.request_uri,
            status = operation.http.response_code.unwrap_or(200),
            read_only = entry.read_only,
        )?;
        Ok(text)
    }

    /// Where an operation or a structure is described.
    fn page(&self, name: &str) -> String {
        match self.spec.api_page {
            "" => "`docs/customers.md`, and the model in `models/writ`".to_owned(),
            page => format!("<{page}{name}.html>"),
        }
    }

    fn input_type(&self, operation: &Operation) -> String {
        match &operation.input {
            Some(input) => names::camel(&input.shape),
            None => format!("{}Request", operation.name),
        }
    }

    /// The files of shared shapes, and the names of the structs in them.
    fn shapes(&self) -> anyhow::Result<(Files, Vec<String>)> {
        let mut simple = Vec::new();
        let mut structures = Vec::new();
        let mut types = Vec::new();
        let outputs: BTreeSet<&str> = self
            .operations
            .iter()
            .filter_map(|(operation, _)| operation.output.as_ref())
            .map(|output| output.shape.as_str())
            .collect();
        for (&name, &used) in &self.uses {
            let shape = self.model.shape(name)?;
            if self.local.contains(name) {
                continue;
            }
            if shape.r#type == "structure" {
                let doc = format!("`{name}`: {}.", self.page(name));
                let mut text = emit::structure(self.model, name, &doc, used)?;
                if outputs.contains(name) {
                    writeln!(text, "impl Output for {} {{}}\n", names::camel(name))?;
                }
                structures.push(text);
                types.push(names::camel(name));
            } else {
                simple.push(emit::simple_static(name, shape)?);
            }
        }
        let mut files = Vec::new();
        let mut modules = Vec::new();
        for (prefix, items) in [("simple", simple), ("structures", structures)] {
            for (number, chunk) in chunks(items).into_iter().enumerate() {
                let module = format!("{prefix}{}", number + 1);
                let mut text = format!("{HEADER}\n//! Shared shapes.\n\n");
                text.push_str("use crate::typed::*;\nuse super::*;\n\n");
                text.push_str(&chunk.replace("pub(super) static", "pub(in super::super) static"));
                files.push((format!("shapes/{module}.rs"), text));
                modules.push(module);
            }
        }
        let mut text = format!("{HEADER}\n//! Shapes that several operations share.\n\n");
        for module in &modules {
            writeln!(text, "mod {module};")?;
        }
        for module in &modules {
            let public = if module.starts_with("structures") { "pub" } else { "pub(super)" };
            writeln!(text, "{public} use {module}::*;")?;
        }
        files.push(("shapes/mod.rs".to_owned(), text));
        Ok((files, types))
    }

    fn errors(&self) -> anyhow::Result<String> {
        let mut text = format!("{HEADER}\n//! The errors of the model.\n\n");
        text.push_str("use crate::error::ErrorShape;\n\n");
        text.push_str("pub(super) static ERRORS: &[ErrorShape] = &[\n");
        for (name, shape) in &self.model.shapes {
            if !shape.exception {
                continue;
            }
            let error = shape.error.as_ref();
            let code = error.and_then(|error| error.code.as_deref()).unwrap_or(name);
            let by_fault = if shape.fault { 500 } else { 400 };
            let status = error.and_then(|error| error.http_status_code).unwrap_or(by_fault);
            let sender = error.and_then(|error| error.sender_fault).unwrap_or(status < 500);
            writeln!(text, "ErrorShape::new({name:?}, {code:?}, {status}, {sender}),")?;
        }
        text.push_str("];\n");
        Ok(text)
    }

    fn known(&self) -> anyhow::Result<String> {
        let mut text = format!("{HEADER}\n//! All operations of the model.\n\n");
        text.push_str("use crate::operation::Known;\n\npub(super) static KNOWN: &[Known] = &[\n");
        for (name, operation) in &self.model.operations {
            let http = &operation.http;
            if http.method == "POST" && http.request_uri == "/" {
                write!(text, "Known::new({name:?})")?;
            } else {
                write!(text, "Known::http({name:?}, {:?}, {:?})", http.method, http.request_uri)?;
                text.push_str(&self.bindings(operation)?);
            }
            if operation.deprecated {
                text.push_str(".deprecated()");
            }
            text.push_str(",\n");
        }
        text.push_str("];\n");
        Ok(text)
    }

    /// The query parameters and required headers of an operation.
    fn bindings(&self, operation: &Operation) -> anyhow::Result<String> {
        let (mut required, mut optional, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(input) = &operation.input {
            let shape = self.model.shape(&input.shape)?;
            for (name, member) in &shape.members.0 {
                let needed = shape.required.contains(name);
                let wire = member.location_name.as_deref().unwrap_or(name);
                match member.location.as_deref() {
                    Some("querystring") if needed => required.push(wire),
                    Some("querystring") => optional.push(wire),
                    Some("header") if needed => headers.push(wire),
                    _ => {}
                }
            }
        }
        let mut text = String::new();
        if !required.is_empty() || !optional.is_empty() {
            write!(text, ".query(&{required:?}, &{optional:?})")?;
        }
        if !headers.is_empty() {
            write!(text, ".headers(&{headers:?})")?;
        }
        Ok(text)
    }

    fn module(&self, shared: &[String]) -> anyhow::Result<String> {
        let metadata = &self.model.metadata;
        let mut text = format!("{HEADER}\n//! Operations of `{}`.\n\n", self.spec.name);
        for (operation, _) in &self.operations {
            writeln!(text, "pub mod {};", names::snake(&operation.name))?;
        }
        text.push_str("mod errors;\nmod known;\npub mod shapes;\n\n");
        for (operation, _) in &self.operations {
            let mut types = vec![self.input_type(operation)];
            let output = operation.output.as_ref().map(|output| output.shape.as_str());
            types.extend(output.filter(|o| self.local.contains(o)).map(names::camel));
            let module = names::snake(&operation.name);
            writeln!(text, "pub use {module}::{{{}}};", types.join(", "))?;
        }
        if !shared.is_empty() {
            writeln!(text, "pub use shapes::{{{}}};", shared.join(", "))?;
        }
        let protocol = match metadata.protocol.as_str() {
            "query" => "Query",
            "json" => "Json",
            "rest-xml" => "RestXml",
            other => bail!("unknown protocol `{other}`"),
        };
        let namespace = match metadata.xml_namespace.as_deref() {
            None if protocol == "RestXml" => "http://s3.amazonaws.com/doc/2006-03-01/",
            other => other.unwrap_or_default(),
        };
        text.push_str("\nuse crate::operation::{Operation, Protocol, ServiceInfo};\n\n");
        write!(
            text,
            "/// The service.\npub static SERVICE: ServiceInfo = ServiceInfo {{\n\
             signing_name: {signing:?},\nprotocol: Protocol::{protocol},\n\
             api_version: {version:?},\ntarget_prefix: {target:?},\n\
             xml_namespace: {namespace:?},\nevent_source: \"{endpoint}.amazonaws.com\",\n\
             operations: OPERATIONS,\nknown: known::KNOWN,\nerrors: errors::ERRORS,\n}};\n\n",
            signing = metadata.signing_name.as_ref().unwrap_or(&metadata.endpoint_prefix),
            version = metadata.api_version,
            target = metadata.target_prefix.as_deref().unwrap_or_default(),
            endpoint = metadata.endpoint_prefix,
        )?;
        text.push_str("static OPERATIONS: &[&Operation] = &[\n");
        for (operation, _) in &self.operations {
            writeln!(text, "&{}::OPERATION,", names::snake(&operation.name))?;
        }
        text.push_str("];\n");
        Ok(text)
    }
}

/// The items, joined into texts of a bounded number of lines.
fn chunks(items: Vec<String>) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut lines = usize::MAX;
    for item in items {
        let more = item.lines().count();
        if lines.saturating_add(more) > CHUNK_LINES {
            chunks.push(String::new());
            lines = 0;
        }
        lines += more;
        if let Some(last) = chunks.last_mut() {
            last.push_str(&item);
        }
    }
    chunks
}

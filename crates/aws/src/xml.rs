//! XML: a writer guided by shapes, and a small strict reader.
//!
//! The reader knows elements, attributes and text. A document type declaration, a processing
//! instruction and an entity that XML does not predefine are refused, so nothing can be expanded
//! or fetched.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::limits;
use crate::scalar;
use crate::shape::{Kind, List, Location, Map, Member, Shape, TimeFormat, XmlNamespace};
use crate::value::Value;

/// How a service writes XML.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum XmlStyle {
    /// Without a declaration; moments in whole seconds.
    Query,
    /// With a declaration; moments always with milliseconds.
    S3,
}

/// Builds a document.
pub(crate) struct Writer {
    out: String,
    style: XmlStyle,
}

impl Writer {
    pub(crate) fn new(style: XmlStyle) -> Writer {
        let mut out = String::with_capacity(512);
        if style == XmlStyle::S3 {
            out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        }
        Writer { out, style }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    pub(crate) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        escape(text, &mut self.out);
        self.close(name);
    }

    pub(crate) fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// The element `name` with the members of a structure in it.
    pub(crate) fn structure(
        &mut self,
        name: &str,
        namespace: Option<XmlNamespace>,
        shape: &Shape,
        value: &Value,
    ) {
        let declared = namespace.or(shape.xml_namespace).map(|namespace| {
            let name = namespace.prefix.map_or("xmlns".to_owned(), |p| format!("xmlns:{p}"));
            (name, namespace.uri)
        });
        let declared: Vec<(&str, &str)> =
            declared.iter().map(|(name, uri)| (name.as_str(), *uri)).collect();
        self.open_structure(name, &declared, shape, value);
    }

    /// The same, with the given namespace declarations.
    pub(crate) fn open_structure(
        &mut self,
        name: &str,
        declared: &[(&str, &str)],
        shape: &Shape,
        value: &Value,
    ) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut attributes: Vec<(String, String)> = declared.iter().map(own).collect();
        for member in shape.members().iter().filter(|member| member.attribute) {
            if let Some(value) = value.member(member.name) {
                attributes.push((member.wire().to_owned(), self.text_of(member.shape, value)));
            }
        }
        let attributes: Vec<(&str, &str)> =
            attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.open(name, &attributes);
        self.members(shape, value);
        self.close(name);
    }

    /// The members of a structure that belong in a body, each as its element.
    pub(crate) fn members(&mut self, shape: &Shape, value: &Value) {
        for member in shape.members() {
            let in_body = member.location == Location::Body && !member.attribute;
            if let Some(value) = value.member(member.name).filter(|_| in_body) {
                self.member(member, value);
            }
        }
    }

    fn member(&mut self, member: &Member, value: &Value) {
        self.value(member.wire(), member.flattened, member.xml_namespace, member.shape, value);
    }

    fn value(
        &mut self,
        name: &str,
        flattened: bool,
        namespace: Option<XmlNamespace>,
        shape: &Shape,
        value: &Value,
    ) {
        match (&shape.kind, value) {
            (Kind::Structure(_), _) => self.structure(name, namespace, shape, value),
            (Kind::List(list), Value::List(items)) => {
                self.list(name, flattened || list.flattened, list, items);
            }
            (Kind::Map(map), Value::Map(entries)) => {
                self.map(name, flattened || map.flattened, map, entries);
            }
            _ => {
                let text = self.text_of(shape, value);
                self.leaf(name, &text);
            }
        }
    }

    fn list(&mut self, name: &str, flattened: bool, list: &List, items: &[Value]) {
        if flattened {
            for item in items {
                self.value(name, false, None, list.item, item);
            }
            return;
        }
        self.open(name, &[]);
        for item in items {
            self.value(list.item_name.unwrap_or("member"), false, None, list.item, item);
        }
        self.close(name);
    }

    fn map(&mut self, name: &str, flattened: bool, map: &Map, entries: &BTreeMap<String, Value>) {
        if !flattened {
            self.open(name, &[]);
        }
        let entry = if flattened { name } else { "entry" };
        for (key, value) in entries {
            self.open(entry, &[]);
            self.leaf(map.key_name.unwrap_or("key"), key);
            self.value(map.value_name.unwrap_or("value"), false, None, map.value, value);
            self.close(entry);
        }
        if !flattened {
            self.close(name);
        }
    }

    fn text_of(&self, shape: &Shape, value: &Value) -> String {
        match (&shape.kind, value, self.style) {
            (Kind::Timestamp(None | Some(TimeFormat::Iso8601)), Value::Time(time), style) => {
                if style == XmlStyle::S3 {
                    time.iso_millis()
                } else {
                    time.iso()
                }
            }
            _ => scalar::write(shape, value, TimeFormat::Iso8601),
        }
    }
}

/// Escapes text and attribute values. Characters that XML 1.0 cannot carry are written as
/// character references, as S3 does for object keys.
pub(crate) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("&#x{:x};", u32::from(c)));
            }
            other => out.push(other),
        }
    }
}

/// An element that was read.
#[derive(Debug)]
pub(crate) struct Element {
    /// The name without its prefix.
    pub(crate) name: String,
    /// The attributes by their names as written, without namespace declarations.
    pub(crate) attributes: Vec<(String, String)>,
    /// The elements in it.
    pub(crate) children: Vec<Element>,
    /// The text in it.
    pub(crate) text: String,
}

/// Why a text was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct XmlFault;

/// Reads one document within the limits on bytes, depth and elements.
pub(crate) fn read(bytes: &[u8]) -> Result<Element, XmlFault> {
    if bytes.len() > limits::XML_MAX_BYTES {
        return Err(XmlFault);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlFault)?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().enable_all_checks(true);
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| XmlFault)?;
        if matches!(event, Event::Start(_) | Event::Empty(_)) {
            elements += 1;
            let deep = open.len() >= limits::XML_DEPTH_MAX;
            if root.is_some() || deep || elements > limits::XML_ELEMENTS_MAX {
                return Err(XmlFault);
            }
        }
        match event {
            Event::Start(start) => open.push(element(&start)?),
            Event::Empty(start) => close(element(&start)?, &mut open, &mut root),
            Event::End(_) => close(open.pop().ok_or(XmlFault)?, &mut open, &mut root),
            Event::Text(text) => add(&text.xml10_content(), &mut open)?,
            Event::CData(text) => add(&text.xml10_content(), &mut open)?,
            Event::GeneralRef(reference) => {
                add(resolve(&reference)?.encode_utf8(&mut [0; 4]), &mut open)?;
            }
            Event::Decl(_) | Event::Comment(_) => {}
            Event::DocType(_) | Event::PI(_) => return Err(XmlFault),
            Event::Eof => break,
        }
    }
    root.filter(|_| open.is_empty()).ok_or(XmlFault)
}

fn element(start: &BytesStart<'_>) -> Result<Element, XmlFault> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| XmlFault)?;
        let name = attribute.key.as_ref();
        if attributes.len() >= limits::XML_ATTRIBUTES_MAX {
            return Err(XmlFault);
        }
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| XmlFault)?;
        attributes.push((name.to_owned(), value.into_owned()));
    }
    let name = start.local_name().as_ref().to_owned();
    Ok(Element { name, attributes, children: Vec::new(), text: String::new() })
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn add(text: &str, open: &mut [Element]) -> Result<(), XmlFault> {
    match open.last_mut() {
        Some(parent) => {
            parent.text.push_str(text);
            Ok(())
        }
        None if text.trim().is_empty() => Ok(()),
        None => Err(XmlFault),
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlFault> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten().ok_or(XmlFault);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(XmlFault),
    }
}

/// The value of `shape` that an element stands for.
pub(crate) fn value(shape: &Shape, element: &Element) -> Result<Value, XmlFault> {
    match &shape.kind {
        Kind::Structure(_) => structure(shape, element),
        Kind::List(list) => {
            only_children(element, list.item_name.unwrap_or("member"))?;
            let items = element.children.iter().map(|child| value(list.item, child));
            items.collect::<Result<_, _>>().map(Value::List)
        }
        Kind::Map(map) => {
            only_children(element, "entry")?;
            entries(map, element.children.iter())
        }
        _ if element.children.is_empty() => {
            scalar::parse(shape, &element.text, TimeFormat::Iso8601).map_err(|_| XmlFault)
        }
        _ => Err(XmlFault),
    }
}

fn structure(shape: &Shape, element: &Element) -> Result<Value, XmlFault> {
    if !element.text.trim().is_empty() {
        return Err(XmlFault);
    }
    let mut members = BTreeMap::new();
    let mut used = 0;
    for member in shape.members().iter().filter(|member| member.location == Location::Body) {
        let found = if member.attribute {
            attribute(member, element)?
        } else {
            let named = |child: &&Element| child.name == member.wire();
            let children: Vec<&Element> = element.children.iter().filter(named).collect();
            used += children.len();
            self::member(member, &children)?
        };
        if let Some(value) = found {
            members.insert(member.name.to_owned(), value);
        }
    }
    // Nothing that the sender meant may be dropped in silence.
    if used == element.children.len() { Ok(Value::Map(members)) } else { Err(XmlFault) }
}

fn attribute(member: &Member, element: &Element) -> Result<Option<Value>, XmlFault> {
    let found = element.attributes.iter().find(|(name, _)| name == member.wire());
    let parse = |text: &String| scalar::parse(member.shape, text, TimeFormat::Iso8601);
    found.map(|(_, text)| parse(text).map_err(|_| XmlFault)).transpose()
}

fn member(member: &Member, children: &[&Element]) -> Result<Option<Value>, XmlFault> {
    if children.is_empty() {
        return Ok(None);
    }
    match &member.shape.kind {
        Kind::List(list) if member.flattened || list.flattened => {
            let items = children.iter().map(|child| value(list.item, child));
            items.collect::<Result<_, _>>().map(|items| Some(Value::List(items)))
        }
        Kind::Map(map) if member.flattened || map.flattened => {
            entries(map, children.iter().copied()).map(Some)
        }
        _ => match children {
            [child] => value(member.shape, child).map(Some),
            _ => Err(XmlFault),
        },
    }
}

fn entries<'e>(map: &Map, found: impl Iterator<Item = &'e Element>) -> Result<Value, XmlFault> {
    let mut entries = BTreeMap::new();
    for entry in found {
        let child = |name| {
            let mut named = entry.children.iter().filter(|child| child.name == name);
            named.next().filter(|_| entry.children.len() == 2).ok_or(XmlFault)
        };
        let key = child(map.key_name.unwrap_or("key"))?;
        let inner = child(map.value_name.unwrap_or("value"))?;
        let inner = value(map.value, inner)?;
        if !key.children.is_empty() || entries.insert(key.text.clone(), inner).is_some() {
            return Err(XmlFault);
        }
    }
    Ok(Value::Map(entries))
}

fn only_children(element: &Element, name: &str) -> Result<(), XmlFault> {
    let fits = element.children.iter().all(|child| child.name == name);
    if fits && element.text.trim().is_empty() { Ok(()) } else { Err(XmlFault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_references_is_read() {
        let read =
            read(b"<?xml version='1.0'?><a x='&lt;1'>b&amp;&#x41;<![CDATA[<c>]]></a>").unwrap();
        assert_eq!(read.text, "b&A<c>");
        assert_eq!(read.attributes, [("x".to_owned(), "<1".to_owned())]);
    }

    #[test]
    fn what_could_be_expanded_or_is_broken_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
        let wide = format!("<a>{}</a>", "<b/>".repeat(limits::XML_ELEMENTS_MAX));
        for text in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "text<a/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
            "<a>&#0;</a>",
            "<a><?php ?></a>",
            "<a x='1' x='2'/>",
            "<a x=1/>",
            &deep,
            &wide,
        ] {
            assert_eq!(read(text.as_bytes()).err(), Some(XmlFault), "{:.60}", text);
        }
        assert!(read(b"<a>\xff</a>").is_err());
    }

    #[test]
    fn escaped_text_reads_back() {
        let text = "a<b>&\"'\t\n\r\u{7f}é\u{1F600}";
        let mut out = String::from("<a>");
        escape(text, &mut out);
        out.push_str("</a>");
        assert_eq!(read(out.as_bytes()).unwrap().text, text);
    }
}

//! Static descriptions of the shapes in AWS's service models.
//!
//! Generated code builds them with the `const` constructors here; codecs and validation read
//! them. A shape says nothing of a protocol, but carries the names that protocols need.

use std::sync::OnceLock;

use crate::pattern::{self, Compiled};

/// A shape of a service model.
pub struct Shape {
    /// The name in the model, such as `userNameType`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether its values must not be shown.
    pub sensitive: bool,
    /// The XML element that a payload of this shape is wrapped in, when it is not the name.
    pub xml_name: Option<&'static str>,
    /// The XML namespace of the element.
    pub xml_namespace: Option<XmlNamespace>,
}

/// What a shape is.
pub enum Kind {
    /// A structure with named members.
    Structure(Structure),
    /// A list.
    List(List),
    /// A map from strings.
    Map(Map),
    /// A string.
    Text(Text),
    /// Bytes, with bounds on their number.
    Blob(Bounds),
    /// A boolean.
    Boolean,
    /// A 32-bit integer, with bounds on its value.
    Integer(Bounds),
    /// A 64-bit integer, with bounds on its value.
    Long(Bounds),
    /// A float or a double.
    Double,
    /// A moment; the format when it is not the protocol's.
    Timestamp(Option<TimeFormat>),
}

/// The members of a structure.
pub struct Structure {
    /// The members, in the model's order.
    pub members: &'static [Member],
    /// The member that is the whole HTTP body, in REST protocols.
    pub payload: Option<&'static str>,
}

/// A list.
pub struct List {
    /// The shape of the items.
    pub item: &'static Shape,
    /// The name of an item's element, when it is not `member`.
    pub item_name: Option<&'static str>,
    /// Whether items stand without an element around them.
    pub flattened: bool,
    /// Bounds on the number of items.
    pub bounds: Bounds,
}

/// A map.
pub struct Map {
    /// The shape of the keys, a string.
    pub key: &'static Shape,
    /// The shape of the values.
    pub value: &'static Shape,
    /// The name of a key's element, when it is not `key`.
    pub key_name: Option<&'static str>,
    /// The name of a value's element, when it is not `value`.
    pub value_name: Option<&'static str>,
    /// Whether entries stand without an element around them.
    pub flattened: bool,
    /// Bounds on the number of entries.
    pub bounds: Bounds,
}

/// A string.
pub struct Text {
    /// Bounds on the length in UTF-16 units.
    pub bounds: Bounds,
    /// The pattern that the whole text must match.
    pub pattern: Option<&'static Pattern>,
    /// The values that are allowed; empty when any is.
    pub values: &'static [&'static str],
}

/// An inclusive lower and upper bound, either of which can be missing.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// The least allowed.
    pub min: Option<i64>,
    /// The greatest allowed.
    pub max: Option<i64>,
}

/// A member of a structure.
#[derive(Clone, Copy)]
pub struct Member {
    /// The name in the model, which is the key in a [`crate::Value::Map`].
    pub name: &'static str,
    /// Its shape.
    pub shape: &'static Shape,
    /// Where REST protocols carry it.
    pub location: Location,
    /// The name on the wire, when it is another.
    pub wire_name: Option<&'static str>,
    /// Whether a request must have it.
    pub required: bool,
    /// Whether its list or map is flattened here.
    pub flattened: bool,
    /// Whether it is an XML attribute.
    pub attribute: bool,
    /// Whether it is a body that is streamed and thus no part of a struct.
    pub streaming: bool,
    /// The XML namespace of its element.
    pub xml_namespace: Option<XmlNamespace>,
}

/// Where a REST protocol carries a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// In the body.
    Body,
    /// In the header of that name.
    Header,
    /// In all headers whose names begin with the wire name.
    Headers,
    /// In the query string.
    Query,
    /// In the status code.
    StatusCode,
    /// In the path.
    Uri,
}

/// How a moment is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeFormat {
    /// HTTP's form.
    Http,
    /// ISO 8601.
    Iso8601,
    /// Seconds since 1970.
    Unix,
}

/// A namespace declaration.
#[derive(Clone, Copy)]
pub struct XmlNamespace {
    /// The prefix; none for the default namespace.
    pub prefix: Option<&'static str>,
    /// The URI.
    pub uri: &'static str,
}

/// A pattern of the model (a Java regular expression), compiled when first used.
pub struct Pattern {
    /// The text in the model, which error messages show.
    pub text: &'static str,
    compiled: OnceLock<Option<Compiled>>,
}

/// The structure without members: the input or output of an operation that has none.
pub static EMPTY: Shape = Shape::structure("Empty", &[]);

impl Shape {
    const fn of(name: &'static str, kind: Kind) -> Shape {
        Shape { name, kind, sensitive: false, xml_name: None, xml_namespace: None }
    }

    /// A structure.
    pub const fn structure(name: &'static str, members: &'static [Member]) -> Shape {
        Shape::of(name, Kind::Structure(Structure { members, payload: None }))
    }

    /// A structure of which the member `payload` is the whole body.
    pub const fn with_payload(
        name: &'static str,
        payload: &'static str,
        members: &'static [Member],
    ) -> Shape {
        Shape::of(name, Kind::Structure(Structure { members, payload: Some(payload) }))
    }

    /// A list.
    pub const fn list(name: &'static str, list: List) -> Shape {
        Shape::of(name, Kind::List(list))
    }

    /// A map.
    pub const fn map(name: &'static str, map: Map) -> Shape {
        Shape::of(name, Kind::Map(map))
    }

    /// A string of any content.
    pub const fn text(name: &'static str) -> Shape {
        Shape::constrained(name, Bounds::NONE, None)
    }

    /// A string with bounds on its length and perhaps a pattern.
    pub const fn constrained(
        name: &'static str,
        bounds: Bounds,
        pattern: Option<&'static Pattern>,
    ) -> Shape {
        Shape::of(name, Kind::Text(Text { bounds, pattern, values: &[] }))
    }

    /// A string that must be one of `values`.
    pub const fn one_of(
        name: &'static str,
        bounds: Bounds,
        values: &'static [&'static str],
    ) -> Shape {
        Shape::of(name, Kind::Text(Text { bounds, pattern: None, values }))
    }

    /// Bytes.
    pub const fn blob(name: &'static str, bounds: Bounds) -> Shape {
        Shape::of(name, Kind::Blob(bounds))
    }

    /// A boolean.
    pub const fn boolean(name: &'static str) -> Shape {
        Shape::of(name, Kind::Boolean)
    }

    /// A 32-bit integer.
    pub const fn integer(name: &'static str, bounds: Bounds) -> Shape {
        Shape::of(name, Kind::Integer(bounds))
    }

    /// A 64-bit integer.
    pub const fn long(name: &'static str, bounds: Bounds) -> Shape {
        Shape::of(name, Kind::Long(bounds))
    }

    /// A floating-point number.
    pub const fn double(name: &'static str) -> Shape {
        Shape::of(name, Kind::Double)
    }

    /// A moment.
    pub const fn timestamp(name: &'static str, format: Option<TimeFormat>) -> Shape {
        Shape::of(name, Kind::Timestamp(format))
    }

    /// The same, whose values must not be shown.
    pub const fn sensitive(self) -> Shape {
        Shape { sensitive: true, ..self }
    }

    /// The same, with another element name.
    pub const fn xml_name(self, name: &'static str) -> Shape {
        Shape { xml_name: Some(name), ..self }
    }

    /// The same, with a namespace.
    pub const fn xml_namespace(self, prefix: Option<&'static str>, uri: &'static str) -> Shape {
        Shape { xml_namespace: Some(XmlNamespace { prefix, uri }), ..self }
    }

    /// The members, when this is a structure.
    pub fn members(&self) -> &'static [Member] {
        match &self.kind {
            Kind::Structure(structure) => structure.members,
            _ => &[],
        }
    }

    /// The member that is the whole body, when this is a structure that has one.
    pub fn payload(&self) -> Option<&'static Member> {
        match &self.kind {
            Kind::Structure(structure) => {
                let name = structure.payload?;
                structure.members.iter().find(|member| member.name == name)
            }
            _ => None,
        }
    }
}

impl List {
    /// A list of `item`, each in an element `member`.
    pub const fn of(item: &'static Shape) -> List {
        List { item, item_name: None, flattened: false, bounds: Bounds::NONE }
    }

    /// The same, with another element name for items.
    pub const fn item_name(self, name: &'static str) -> List {
        List { item_name: Some(name), ..self }
    }

    /// The same, without an element around the items.
    pub const fn flattened(self) -> List {
        List { flattened: true, ..self }
    }

    /// The same, with bounds on the number of items.
    pub const fn bounds(self, bounds: Bounds) -> List {
        List { bounds, ..self }
    }
}

impl Map {
    /// A map with entries `key` and `value`.
    pub const fn of(key: &'static Shape, value: &'static Shape) -> Map {
        let (bounds, flattened) = (Bounds::NONE, false);
        Map { key, value, key_name: None, value_name: None, flattened, bounds }
    }

    /// The same, with another element name for keys.
    pub const fn key_name(self, name: &'static str) -> Map {
        Map { key_name: Some(name), ..self }
    }

    /// The same, with another element name for values.
    pub const fn value_name(self, name: &'static str) -> Map {
        Map { value_name: Some(name), ..self }
    }

    /// The same, without an element around the entries.
    pub const fn flattened(self) -> Map {
        Map { flattened: true, ..self }
    }

    /// The same, with bounds on the number of entries.
    pub const fn bounds(self, bounds: Bounds) -> Map {
        Map { bounds, ..self }
    }
}

impl Bounds {
    /// No bound.
    pub const NONE: Bounds = Bounds { min: None, max: None };

    /// At least `min`.
    pub const fn min(min: i64) -> Bounds {
        Bounds { min: Some(min), max: None }
    }

    /// At most `max`.
    pub const fn max(max: i64) -> Bounds {
        Bounds { min: None, max: Some(max) }
    }

    /// From `min` to `max`.
    pub const fn both(min: i64, max: i64) -> Bounds {
        Bounds { min: Some(min), max: Some(max) }
    }
}

impl Member {
    /// An optional member in the body.
    pub const fn new(name: &'static str, shape: &'static Shape) -> Member {
        Member {
            name,
            shape,
            location: Location::Body,
            wire_name: None,
            required: false,
            flattened: false,
            attribute: false,
            streaming: false,
            xml_namespace: None,
        }
    }

    const fn at(self, location: Location, name: &'static str) -> Member {
        Member { location, wire_name: Some(name), ..self }
    }

    /// The same, required.
    pub const fn required(self) -> Member {
        Member { required: true, ..self }
    }

    /// The same, with another name on the wire.
    pub const fn named(self, name: &'static str) -> Member {
        Member { wire_name: Some(name), ..self }
    }

    /// The same, in the header `name`.
    pub const fn header(self, name: &'static str) -> Member {
        self.at(Location::Header, name)
    }

    /// The same, in all headers that begin with `prefix`.
    pub const fn headers(self, prefix: &'static str) -> Member {
        self.at(Location::Headers, prefix)
    }

    /// The same, in the query parameter `name`.
    pub const fn query(self, name: &'static str) -> Member {
        self.at(Location::Query, name)
    }

    /// The same, in the path's label `name`.
    pub const fn uri(self, name: &'static str) -> Member {
        self.at(Location::Uri, name)
    }

    /// The same, in the status code.
    pub const fn status_code(self) -> Member {
        Member { location: Location::StatusCode, ..self }
    }

    /// The same, with its list or map flattened.
    pub const fn flattened(self) -> Member {
        Member { flattened: true, ..self }
    }

    /// The same, as an XML attribute.
    pub const fn attribute(self) -> Member {
        Member { attribute: true, ..self }
    }

    /// The same, as a streamed body.
    pub const fn streaming(self) -> Member {
        Member { streaming: true, ..self }
    }

    /// The same, with a namespace.
    pub const fn xml_namespace(self, prefix: Option<&'static str>, uri: &'static str) -> Member {
        Member { xml_namespace: Some(XmlNamespace { prefix, uri }), ..self }
    }

    /// The name on the wire.
    pub fn wire(&self) -> &'static str {
        self.wire_name.unwrap_or(self.name)
    }
}

impl Pattern {
    /// A pattern; it is compiled when first matched.
    pub const fn new(text: &'static str) -> Pattern {
        Pattern { text, compiled: OnceLock::new() }
    }

    /// Whether the whole of `text` matches. A pattern that cannot be compiled matches nothing;
    /// a test compiles all that are generated.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled().is_some_and(|compiled| compiled.is_match(text))
    }

    /// Whether this pattern can be compiled.
    pub fn is_supported(&self) -> bool {
        self.compiled().is_some()
    }

    fn compiled(&self) -> Option<&Compiled> {
        self.compiled.get_or_init(|| pattern::compile(self.text)).as_ref()
    }
}

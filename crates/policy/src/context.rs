//! The request context: condition keys and their values.

use std::fmt;

/// A condition key, folded to lower case, with its hash taken once.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    hash: u64,
    name: Box<str>,
}

impl Key {
    /// The key of this name; case does not matter, in tag keys neither.
    pub fn new(name: &str) -> Key {
        Key { hash: fold_hash(name), name: name.to_ascii_lowercase().into() }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// FNV-1a of the name with ASCII letters folded: a short fixed cost, taken once a key.
const fn fold_hash(name: &str) -> u64 {
    let mut rest = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ byte.to_ascii_lowercase() as u64).wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    hash
}

#[derive(Clone, PartialEq, Eq)]
enum Values {
    One(Box<str>),
    Many(Vec<Box<str>>),
}

/// The keys and values that conditions and policy variables see.
///
/// Keys are case-insensitive. Whether a key is absent matters as much as its value, so insert only
/// what the request really has. A key with an empty list counts as absent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Sorted by the key's hash, then by its name.
    entries: Vec<(Key, Values)>,
}

impl Context {
    /// A context without keys.
    pub fn new() -> Context {
        Context::default()
    }

    /// Gives `key` one value, in place of what it had.
    pub fn insert(&mut self, key: &str, value: impl Into<Box<str>>) -> &mut Context {
        self.put(Key::new(key), Values::One(value.into()))
    }

    /// Gives `key` these values, in place of what it had.
    pub fn insert_many<V: Into<Box<str>>>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Context {
        let mut values = values.into_iter().map(Into::into);
        let values = match (values.next(), values.next()) {
            (Some(only), None) => Values::One(only),
            (first, second) => {
                Values::Many(first.into_iter().chain(second).chain(values).collect())
            }
        };
        self.put(Key::new(key), values)
    }

    /// As [`Context::insert`], for chains.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Box<str>>) -> Context {
        self.insert(key, value);
        self
    }

    /// Makes `key` absent.
    pub fn remove(&mut self, key: &str) -> &mut Context {
        let key = Key::new(key);
        if let Ok(at) = self.position(&key) {
            self.entries.remove(at);
        }
        self
    }

    /// The values of `key`; `None` when it is absent.
    pub fn get(&self, key: &str) -> Option<&[Box<str>]> {
        self.lookup(&Key::new(key))
    }

    /// The values of a key that was folded before; `None` when it is absent.
    pub fn lookup(&self, key: &Key) -> Option<&[Box<str>]> {
        let at = self.position(key).ok()?;
        self.entries.get(at).map(|(_, values)| values.as_slice())
    }

    /// Every key in lower case with its values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.entries.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    fn put(&mut self, key: Key, values: Values) -> &mut Context {
        match self.position(&key) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = values;
                }
            }
            Err(at) => self.entries.insert(at, (key, values)),
        }
        self
    }

    fn position(&self, key: &Key) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(k, _)| k.hash.cmp(&key.hash).then_with(|| k.name.cmp(&key.name)))
    }
}

impl Values {
    fn as_slice(&self) -> &[Box<str>] {
        match self {
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_key_is_found_without_case() {
        let mut context = Context::new().with("aws:SourceIp", "10.0.0.1");
        context.insert_many("aws:TagKeys", ["a", "b"]).insert("AWS:SOURCEIP", "10.0.0.2");
        assert_eq!(context.get("aws:sourceip").unwrap(), ["10.0.0.2".into()]);
        assert_eq!(context.get("aws:tagkeys").unwrap().len(), 2);
        assert_eq!(context.remove("aws:SourceIP").get("aws:SourceIp"), None);
        assert_eq!(context.iter().count(), 1);
    }
}

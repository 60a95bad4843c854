//! Pages of lists: `MaxItems`, `Marker`, `IsTruncated`.
//!
//! A marker names the last item of its page, so a list may change between two pages and no item that
//! stays is left out or shown twice. Clients must not look into it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_aws::ApiError;

use crate::error;
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// Which part of a list is asked for.
pub(crate) struct Cut {
    after: Option<String>,
    max: usize,
}

/// A page of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) is_truncated: Option<bool>,
    pub(crate) marker: Option<String>,
}

impl Cut {
    /// Reads a request's `Marker` and `MaxItems`.
    pub(crate) fn new(marker: Option<&str>, max_items: Option<i64>) -> Result<Cut, ApiError> {
        let after = match marker {
            None => None,
            Some(marker) => {
                let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
                let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                Some(key.ok_or_else(|| error::validation("Invalid Marker."))?)
            }
        };
        let max = max_items.and_then(|max| usize::try_from(max).ok());
        Ok(Cut { after, max: max.unwrap_or(PAGE_ITEMS_DEFAULT).clamp(1, PAGE_ITEMS_MAX) })
    }

    /// The key after which the page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The page of `items`, which come with their keys and in the order of these.
    pub(crate) fn page<T>(&self, items: impl Iterator<Item = (String, T)>) -> Page<T> {
        let past = |key: &str| self.after().is_none_or(|after| key > after);
        let mut rest = items.skip_while(|(key, _)| !past(key));
        let mut page = Page { items: Vec::new(), is_truncated: Some(false), marker: None };
        let mut last = None;
        for (key, item) in rest.by_ref().take(self.max) {
            page.items.push(item);
            last = Some(key);
        }
        if rest.next().is_some() {
            page.is_truncated = Some(true);
            page.marker = last.map(|key| URL_SAFE_NO_PAD.encode(key));
        }
        page
    }
}

/// Keys of a list that has no names: where each item stands. For lists of at most 9,999 items.
pub(crate) fn numbered<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = (String, T)> {
    items.enumerate().map(|(at, item)| (format!("{at:04}"), item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(names: &[String], max: i64) -> (Vec<String>, usize) {
        let (mut seen, mut marker, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let cut = Cut::new(marker.as_deref(), Some(max)).unwrap();
            let page = cut.page(names.iter().map(|name| (name.clone(), name.clone())));
            assert!(page.items.len() <= usize::try_from(max).unwrap());
            assert_eq!(page.is_truncated, Some(page.marker.is_some()));
            seen.extend(page.items);
            pages += 1;
            assert!(pages <= names.len() + 1, "pages do not end");
            marker = page.marker;
            if marker.is_none() {
                return (seen, pages);
            }
        }
    }

    proptest! {
        #[test]
        fn pages_of_any_size_give_every_item_once(
            names in prop::collection::btree_set("[a-z0-9._-]{1,20}", 0..40),
            max in 1i64..50,
        ) {
            let names: Vec<String> = names.into_iter().collect();
            prop_assert_eq!(all(&names, max).0, names);
        }
    }

    #[test]
    fn page_that_ends_with_the_list_is_not_truncated() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(all(&names, 2).1, 2);
        assert_eq!(all(&names, 3).1, 2);
        assert_eq!(all(&names, 4).1, 1);
    }

    #[test]
    fn marker_that_is_none_of_ours_is_refused() {
        for marker in ["!", "a b", "_w"] {
            let error = Cut::new(Some(marker), None).err().unwrap();
            assert_eq!((&*error.code, error.status), ("ValidationError", 400), "{marker}");
        }
    }
}
